//! Names that fit a pattern.

/// Whether a name fits a pattern, whose `*` stand for any run of characters. Each piece between stars is taken where it comes first: no
/// later place leaves more to the rest, and the time grows with the lengths' product at most.
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|head| name.strip_prefix(head)) else { return false };
    let Some(tail) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_run_of_characters() {
        for (pattern, name, expect) in [
            ("train.parquet", "train.parquet", true),
            ("train-*.parquet", "train-00000-of-00001.parquet", true),
            ("train-*.parquet", "test-00000.parquet", false),
            ("*", "x", true),
            ("ab*ba", "aba", false),
            ("*-of-*.parquet", "train-00000-of-00001.parquet", true),
            ("*-of-*.parquet", "train-00000.parquet", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*b", "ab", false),
            ("**", "", true),
            ("train*", "train", true),
        ] {
            assert_eq!(fits(pattern, name), expect, "{pattern} {name}");
        }
        assert!(!fits(&format!("{}b", "*a".repeat(100)), &"a".repeat(200)));
    }
}
