//! `model.safetensors.index.json`: which files a model's weights lie in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use guard::text::line;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::files::{self, there};
use crate::stored::SHOWN;
use crate::{Error, Result};

/// An index larger than this is refused; bytes. (That of a model with 70,000 tensors takes a third.)
const MAX_INDEX: u64 = 16 << 20;

/// More files than a model comes in.
const MAX_SHARDS: usize = 1_000;

#[derive(Deserialize)]
struct Index {
    weight_map: WeightMap,
}

/// The file of each tensor, each tensor once.
struct WeightMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = WeightMap;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a table from tensors to files")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<WeightMap, M::Error> {
        let mut files = BTreeMap::new();
        while let Some((tensor, file)) = map.next_entry::<String, String>()? {
            if let Some(other) = files.insert(tensor.clone(), file) {
                let (tensor, other) = (line(&tensor, SHOWN), line(&other, SHOWN));
                return Err(M::Error::custom(format!("tensor `{tensor}` is there twice, first in `{other}`")));
            }
        }
        Ok(WeightMap(files))
    }
}

/// The files an index names, each once, by name.
pub(super) fn shards(index: &Path) -> Result<Vec<String>> {
    let failed = |reason: String| Error::Backbone(format!("{}: {reason}", index.display()));
    let text = files::read(index, MAX_INDEX)?;
    let Index { weight_map: WeightMap(map) } = serde_json::from_slice(&text)
        .map_err(|error| failed(format!("expected a table `weight_map`: {}", line(&error.to_string(), 300))))?;
    let names: BTreeSet<String> = map.into_values().collect();
    if names.is_empty() {
        return Err(failed("`weight_map` names no file".into()));
    }
    if names.len() > MAX_SHARDS {
        return Err(failed(format!("`weight_map` names {} files; at most {MAX_SHARDS} are read", names.len())));
    }
    for name in &names {
        // A name with a folder in it could lead anywhere.
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(failed(format!("`{}` is not the name of a file in this folder", line(name, SHOWN))));
        }
        if !there(&index.with_file_name(name)) {
            return Err(failed(format!("it names `{}`, which is not there; download all shards", line(name, SHOWN))));
        }
    }
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use crate::checkpoint::Checkpoint;

    #[test]
    fn an_index_may_not_lead_out_of_its_folder_nor_to_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |index: &str, expect: &str| {
            std::fs::write(folder.path().join("model.safetensors.index.json"), index).expect("written");
            let error = Checkpoint::open(folder.path(), str::to_owned).err().map_or_else(String::new, |error| error.to_string());
            assert!(error.contains(expect) && error.contains("index.json"), "{error}");
        };
        check(r#"{"weight_map":{"a":"../w.safetensors"}}"#, "`../w.safetensors` is not the name of a file");
        check(r#"{"weight_map":{"a":"/etc/passwd"}}"#, "is not the name of a file");
        check(r#"{"weight_map":{"a":"model-1.safetensors"}}"#, "names `model-1.safetensors`, which is not there");
        check(r#"{"weight_map":{}}"#, "names no file");
        check(r#"{}"#, "expected a table `weight_map`");
        check(r#"{"weight_map":{"a":"x","a":"y"}}"#, "tensor `a` is there twice, first in `x`");
        let many: Vec<String> = (0..1001).map(|i| format!("\"{i}\":\"{i}\"")).collect();
        check(&format!(r#"{{"weight_map":{{{}}}}}"#, many.join(",")), "names 1001 files; at most 1000 are read");
        check("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "is a Git LFS pointer");
    }
}
