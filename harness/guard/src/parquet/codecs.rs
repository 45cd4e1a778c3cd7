//! The ways of compression that a footer may name, by their number.

/// The ways of compression: name, and how often its length a page may unpack to, where the library does not bound it.
pub(super) const CODECS: [(&str, Option<u64>); 8] = [
    ("none", None),
    ("snappy", None),
    ("gzip", Some(1032)),
    ("LZO", None),
    ("brotli", Some(u64::MAX)),
    ("lz4", Some(255)),
    ("zstd", None),
    ("lz4", None),
];
/// The one that is not read here.
pub(super) const LZO: i64 = 3;
