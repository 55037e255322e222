//! The file that `--report` names.

use std::{
    fs::File,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use crate::{
    bench::PictureFormat,
    error::{CommandError, Error, chain},
};

/// The file of the picture. It is opened before anything is started, so that a file that cannot be
/// written is reported at once.
pub(super) struct ReportFile {
    file: File,
    path: PathBuf,
    pub(super) format: PictureFormat,
    /// Whether the file was created by this run and is still empty.
    is_new: bool,
}

impl ReportFile {
    /// Opens the file, or creates it. What is in it stays until [`write`](Self::write).
    ///
    /// # Errors
    /// [`CommandError::Usage`] if the extension is no format, or the file cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self, CommandError> {
        let format = PictureFormat::of(path).ok_or_else(|| {
            CommandError::Usage(format!(
                "--report {}: expected a name that ends in .html or .svg",
                path.display()
            ))
        })?;
        let is_new = !path.exists();
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|source| CommandError::Usage(chain(&Self::error(path, source))))?;
        Ok(Self { file, path: path.to_owned(), format, is_new })
    }

    fn error(path: &Path, source: io::Error) -> CommandError {
        Error::Os { what: format!("cannot write --report {}", path.display()), source }.into()
    }

    /// Replaces what is in the file.
    ///
    /// # Errors
    /// [`Error::Os`] if the file cannot be written.
    pub(super) fn write(&mut self, text: &str) -> Result<(), CommandError> {
        let written = self.file.rewind().and_then(|()| {
            self.file.set_len(0)?;
            self.file.write_all(text.as_bytes())
        });
        written.map_err(|source| Self::error(&self.path, source))?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for ReportFile {
    /// Removes a file that was created and never written.
    fn drop(&mut self) {
        if self.is_new {
            // An empty file that cannot be removed does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
