//! How the values of settings are written as text: as their parsers read them.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use super::{
    choices::{Compression, LogFormat, Pollers, Versioning},
    lists::{Names, Rate, TaskQueues},
    role::Role,
    values::show,
};
use crate::user_code::label::LabelStyle;

/// A setting's value, written as its parser reads it.
pub(super) trait AsSetting {
    fn as_setting(&self) -> String;
}

macro_rules! as_displayed {
    ($($type:ty),*) => {
        $(impl AsSetting for $type {
            fn as_setting(&self) -> String {
                self.to_string()
            }
        })*
    };
}

as_displayed!(
    Role,
    String,
    bool,
    usize,
    NonZeroUsize,
    SocketAddr,
    Pollers,
    LogFormat,
    Compression,
    Versioning,
    LabelStyle,
    Names,
    Rate,
    TaskQueues
);

impl AsSetting for Duration {
    fn as_setting(&self) -> String {
        show(*self)
    }
}

impl AsSetting for PathBuf {
    fn as_setting(&self) -> String {
        self.display().to_string()
    }
}

/// A limit, where 0 stands for none.
impl AsSetting for Option<NonZeroUsize> {
    fn as_setting(&self) -> String {
        self.map_or(0, NonZeroUsize::get).to_string()
    }
}
