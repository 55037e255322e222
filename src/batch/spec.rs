//! What a batch consists of.

use temporalio_common::protos::temporal::api::common::v1::Payload;
use uuid::Uuid;

use super::start_options::StartOptions;
use crate::temporal::history::Definition;

/// The root of the workflow ids: it gives, with a batch's name and a workflow's number, that workflow's
/// UUID. If it changed, every batch would run again.
const ID_NAMESPACE: Uuid = Uuid::from_u128(0x6c1f_5a0e_3d94_4f0b_9c52_7d1e_a8b4_60f3);

/// How many hexadecimal digits a random name has: 48 bits.
const RANDOM_NAME_LENGTH: usize = 12;

/// What to start, and how many of it.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) name: BatchName,
    /// What each workflow is started with.
    pub(crate) definition: Definition,
    /// The argument of each workflow, by its number, in place of the definition's. Empty if all have the same.
    pub(crate) inputs: Vec<Payload>,
    pub(crate) options: StartOptions,
    /// Each workflow id is this prefix, a dash and a UUID.
    pub(crate) id_prefix: String,
    /// The number of workflows.
    pub(crate) count: usize,
    /// The upper limit of workflows in flight.
    pub(crate) concurrency: usize,
}

impl Batch {
    /// The id of the workflow with number `index`, counted from 0.
    pub(crate) fn workflow_id(&self, index: usize) -> String {
        let name = format!("{}/{index}", self.name.as_str());
        format!("{}-{}", self.id_prefix, Uuid::new_v5(&ID_NAMESPACE, name.as_bytes()))
    }

    /// What the workflow with number `index` is started with.
    pub(super) fn definition_of(&self, index: usize) -> Definition {
        let mut definition = self.definition.clone();
        if let Some(input) = self.inputs.get(index) {
            definition.input = vec![input.clone()];
        }
        definition
    }
}

/// A batch's name, and with it whether an earlier starter may have begun the batch.
#[derive(Clone, Debug)]
pub(crate) enum BatchName {
    /// The user chose it, so the batch may have been begun before.
    Given(String),
    /// It was made up a moment ago, so no other batch has it.
    Random(String),
}

impl BatchName {
    /// A new name, short enough to type. Of ten thousand batches, two get the same name with a probability
    /// of 1 in 5 million.
    pub(crate) fn random() -> Self {
        let uuid = Uuid::new_v4().simple().to_string();
        Self::Random(uuid[..RANDOM_NAME_LENGTH].to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Given(name) | Self::Random(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn batch(name: &str) -> Batch {
        Batch {
            name: BatchName::Given(name.into()),
            definition: Definition {
                workflow_type: "Type".into(),
                task_queue: "queue".into(),
                input: Vec::new(),
            },
            inputs: Vec::new(),
            options: StartOptions::default(),
            id_prefix: "id".into(),
            count: 1,
            concurrency: 1,
        }
    }

    #[test]
    fn a_workflow_id_follows_from_the_batch_name_and_the_number() {
        let ids: BTreeSet<_> = ["a", "b"]
            .iter()
            .flat_map(|name| (0..3).map(|index| batch(name).workflow_id(index)))
            .collect();
        assert_eq!(ids.len(), 6);
        // A recorded id: a newer version has to find the workflows that an older one started.
        assert_eq!(batch("nightly").workflow_id(7), "id-83bca415-79aa-54db-84a8-6565f8b5559f");
    }

    #[test]
    fn random_names_are_short_and_differ() {
        let names: BTreeSet<_> =
            (0..100).map(|_| BatchName::random().as_str().to_owned()).collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|name| name.len() == 12));
    }
}
