//! Kinds of example that every dataset has, or that follow from a tag.

/// A break-down that every dataset has: `IMG` (a picture), `TXT` (a hint), both at once, or `NO` (neither), as ScienceQA's
/// evaluation has it.
pub const CONTEXT: &str = "context";

/// A break-down of datasets with a tag [`GRADE`]: `grade1-6` and `grade7-12`, as ScienceQA's evaluation has it.
pub const GRADE_BAND: &str = "grade_band";

/// The tag that a grade band is made of: `grade3`, or the number alone.
pub const GRADE: &str = "grade";
