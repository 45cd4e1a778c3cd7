//! What stands in the metadata of a GGUF file.

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of any integer type.
    Integer(i128),
    /// Of either float type.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A string.
    Text(String),
    /// An array of strings.
    Texts(Vec<String>),
    /// An array of integers.
    Integers(Vec<i64>),
    /// An array of floats or truth values, which nothing here needs: not kept.
    Skipped,
}
