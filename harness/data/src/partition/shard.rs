//! One client's part of a dataset, resolved.

/// One client's part, as indices into the examples of the train and the test split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardIndices {
    /// Into the training examples.
    pub train: Vec<usize>,
    /// Into the test examples.
    pub test: Vec<usize>,
}
