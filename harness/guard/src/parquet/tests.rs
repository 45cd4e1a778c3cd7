use std::io::Write;

use super::*;

fn problem(bytes: &[u8]) -> String {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    footer(&file).expect_err("no parquet").to_string()
}

/// A footer around the bytes of its Thrift.
fn with_footer(thrift: &[u8]) -> Vec<u8> {
    [b"PAR1".as_slice(), thrift, &(thrift.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

#[test]
fn what_a_file_is_instead_is_said() {
    for (bytes, part) in [
        (&b""[..], "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"{\"error\": \"Not Found\"}", "JSON"),
        (b"id,question,answer\n1,a,b\n", "CSV"),
        (b"ARROW1\0\0rest", "Arrow IPC"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"hello", "looks like text (`hello`)"),
        (b"\x01\x02\x03\x04\x05", "the bytes 01 02 03 04"),
    ] {
        let said = problem(bytes);
        assert!(said.starts_with("is no parquet file: it ") && said.contains(part), "{said}");
    }
    assert!(problem(b"PAR1 and no end").starts_with("is cut off"));
    assert!(problem(b"PAR1").starts_with("is cut off"));
    assert!(problem(b"PARE rest of it PARE").contains("encrypted"));
}

#[test]
fn footers_that_cannot_be_are_refused() {
    let long = [b"PAR1".as_slice(), &u32::MAX.to_le_bytes(), b"PAR1"].concat();
    assert!(problem(&long).contains("its footer is said to have 4294967295 bytes"));
    for (thrift, part) in [
        (&[][..], "ends within a value"),
        (&[0], "no schema"),
        // Field 2, a list of 2^31 structs.
        (&[0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0], "ends within a value"),
        // One element, the root, with two children that do not come.
        (&[0x29, 0x1c, 0x55, 0x04, 0, 0], "fewer columns than it says"),
        // The root with -1 children.
        (&[0x29, 0x1c, 0x55, 0x01, 0, 0], "fewer columns than it says"),
        // A number that never ends.
        (&[0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0], "a number that cannot be"),
    ] {
        let said = problem(&with_footer(thrift));
        assert!(said.starts_with("is a damaged parquet file (") && said.contains(part), "{thrift:?}: {said}");
    }
    // Structs in structs in an unknown field.
    let deep = [vec![0xfc; 1], vec![0x1c; 20_000]].concat();
    assert!(problem(&with_footer(&deep)).contains("that cannot be"));
}

#[test]
fn schemas_may_not_nest_without_end() {
    // The root and a thousand groups of one column each.
    let mut thrift = vec![0x29, 0xfc];
    let count = 1001u32;
    thrift.extend([(count & 0x7f) as u8 | 0x80, (count >> 7) as u8]);
    (0..count).for_each(|_| thrift.extend([0x55, 0x02, 0]));
    thrift.push(0);
    assert!(problem(&with_footer(&thrift)).contains("nested over 32 deep"));
}
