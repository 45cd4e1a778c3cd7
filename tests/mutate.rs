//! Damage to files, from a seed: cuts, flips, splices, extreme lengths; in JSON and TOML also values of other sizes and types; in parquet
//! to the footer alone, in PNG to chunks whose checksums are set right again.

use seed::Stream;

/// Numbers at which lengths, counts and places go wrong.
const EXTREMES: [u64; 12] = [0, 1, 2, 3, 255, 65_535, 1 << 31, u32::MAX as u64, 1 << 40, i64::MAX as u64, u64::MAX - 7, u64::MAX];

/// Values that a JSON file may hold where a number or a text is expected.
const VALUES: [&str; 22] = [
    "null",
    "true",
    "\"\"",
    "\"x\"",
    "[]",
    "{}",
    "[[]]",
    "-1",
    "0",
    "1",
    "2",
    "0.5",
    "-0.0",
    "1e-300",
    "1e308",
    "4096",
    "1048576",
    "2147483648",
    "4294967296",
    "99999999999",
    "9223372036854775807",
    "18446744073709551615",
];

/// One to four kinds of damage to a file's bytes.
pub fn bytes(file: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut damaged = file.to_vec();
    for _ in 0..stream.between(1, 4) {
        damage(&mut damaged, stream);
    }
    damaged
}

fn damage(file: &mut Vec<u8>, stream: &mut Stream) {
    if file.is_empty() {
        return file.push(stream.below(256) as u8);
    }
    let at = place(file.len(), stream);
    match stream.below(8) {
        0 => file.truncate(at),
        1 => file[at] ^= 1 << stream.below(8),
        2 => file[at] = stream.below(256) as u8,
        3 => overwrite(file, at, &stream.pick(&EXTREMES).to_le_bytes()),
        4 => overwrite(file, at, &(*stream.pick(&EXTREMES) as u32).to_le_bytes()),
        5 => {
            let end = (at + stream.between(1, 64)).min(file.len());
            file.drain(at..end);
        }
        6 => {
            // A piece of it once more, at another place.
            let piece = file[at..(at + stream.between(1, 256)).min(file.len())].to_vec();
            let to = place(file.len(), stream);
            file.splice(to..to, piece);
        }
        _ => file.splice(at..at, (0..stream.between(1, 32)).map(|_| stream.below(256) as u8)).for_each(drop),
    }
}

/// Somewhere; every other time among the first bytes, where headers are.
fn place(length: usize, stream: &mut Stream) -> usize {
    let within = if stream.chance(0.5) { length.min(512) } else { length };
    stream.below(within)
}

fn overwrite(file: &mut [u8], at: usize, with: &[u8]) {
    let end = (at + with.len()).min(file.len());
    file[at..end].copy_from_slice(&with[..end - at]);
}

/// Damage to a JSON text: to its values, so that it stays JSON, or, every fifth time, to its bytes.
pub fn json(file: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut text = file.to_vec();
    for _ in 0..stream.between(1, 3) {
        text = match stream.below(5) {
            0 => bytes(&text, stream),
            1 => nested(&text, stream),
            _ => other_value(&text, stream),
        };
    }
    text
}

/// Damage to a parquet file's footer, its length set right again, so that damage reaches what the footer says.
pub fn parquet_footer(file: &[u8], stream: &mut Stream) -> Vec<u8> {
    let Some((body, tail)) = file.split_last_chunk::<8>() else { return bytes(file, stream) };
    let length = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize;
    let (pages, footer) = body.split_at(body.len().saturating_sub(length));
    let footer = bytes(footer, stream);
    [pages, &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

/// Damage to one of a PNG's chunks, its length and checksum set right again; a chunk may also go, come twice, or be another's name.
pub fn png(file: &[u8], stream: &mut Stream) -> Vec<u8> {
    const NAMES: [&[u8; 4]; 9] = [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf", b"iCCP", b"zTXt", b"acTL"];
    let mut chunks = png_chunks(file);
    if chunks.is_empty() {
        return bytes(file, stream);
    }
    let at = stream.below(chunks.len());
    match stream.below(6) {
        0 => drop(chunks.remove(at)),
        1 => chunks.insert(at, chunks[stream.below(chunks.len())].clone()),
        2 => chunks[at].0 = **stream.pick(&NAMES),
        3 => chunks.insert(at, (**stream.pick(&NAMES), (0..stream.between(0, 64)).map(|_| stream.below(256) as u8).collect())),
        _ => chunks[at].1 = bytes(&chunks[at].1, stream),
    }
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in chunks {
        let named = [name.as_slice(), &data].concat();
        out.extend((data.len() as u32).to_be_bytes());
        out.extend(&named);
        out.extend(crc(&named).to_be_bytes());
    }
    out
}

/// Names and contents of a sound PNG's chunks.
fn png_chunks(file: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let (mut chunks, mut rest) = (Vec::new(), file.get(8..).unwrap_or_default());
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (Some(data), Some(next)) = (body.get(..length), body.get(length + 4..)) else { break };
        chunks.push(([head[4], head[5], head[6], head[7]], data.to_vec()));
        rest = next;
    }
    chunks
}

/// PNG's checksum: CRC-32.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// One of the values outside of text replaced by another value, or its digits changed.
fn other_value(text: &[u8], stream: &mut Stream) -> Vec<u8> {
    let values = values(text);
    if values.is_empty() {
        return text.to_vec();
    }
    let (from, to) = *stream.pick(&values);
    let with = match stream.below(4) {
        0 => text[values[stream.below(values.len())].0..].iter().copied().take_while(|byte| !b",]}\n".contains(byte)).collect(),
        1 => format!("{}", stream.below(1000)).into_bytes(),
        _ => stream.pick(&VALUES).as_bytes().to_vec(),
    };
    [&text[..from], &with, &text[to..]].concat()
}

/// A value put into many brackets.
fn nested(text: &[u8], stream: &mut Stream) -> Vec<u8> {
    let values = values(text);
    if values.is_empty() {
        return text.to_vec();
    }
    let (from, to) = *stream.pick(&values);
    let depth = *stream.pick(&[1, 4, 200, 20_000]);
    [&text[..from], &vec![b'['; depth], &text[from..to], &vec![b']'; depth], &text[to..]].concat()
}

/// Where numbers, words and texts that follow a colon, a comma or a bracket begin and end.
fn values(text: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let (mut at, mut expected) = (0, true);
    while at < text.len() {
        let begin = at;
        match text[at] {
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(text.len());
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => {
                while at < text.len() && (text[at].is_ascii_alphanumeric() || b"-+.".contains(&text[at])) {
                    at += 1;
                }
            }
            byte => {
                expected = b":,[=".contains(&byte) || (expected && byte.is_ascii_whitespace());
                at += 1;
                continue;
            }
        }
        // A key is no value.
        if expected && text.get(at) != Some(&b':') {
            found.push((begin, at));
        }
        expected = false;
    }
    found
}

#[test]
fn values_are_found_and_keys_are_not() {
    let text = br#"{"a": [1, -2.5e3], "b\"": "x", "c": true}"#;
    let found: Vec<&str> =
        values(text).into_iter().map(|(from, to)| std::str::from_utf8(&text[from..to]).expect("ASCII")).collect();
    assert_eq!(found, ["1", "-2.5e3", "\"x\"", "true"]);
}

#[test]
fn a_chunk_keeps_its_checksum() {
    // What every PNG ends with.
    assert_eq!(crc(b"IEND"), 0xae42_6082);
}
