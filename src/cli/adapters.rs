//! Whose saved adapters `fedbench eval` judges, and whether they are all there: what is left out of a file would silently be judged as the
//! untouched backbone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use guard::text::line;
use models::Backbone;
use models::adapter::{AdapterSpec, Adapters};
use seed::Seed;
use study::{Error, Result};
use tasks::judgement::check_finite;

/// What a client's tensors begin with in `adapters.safetensors`: `client-<id>/`.
const CLIENT: &str = "client-";

/// Whose adapters of a file are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// What the server holds.
    Shared,
    /// A client's own.
    Client(usize),
}

impl FromStr for Whose {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "shared" => Ok(Self::Shared),
            number => number.parse().map(Self::Client).map_err(|_| "expected a client's number, or `shared`".into()),
        }
    }
}

/// A file's adapters of one owner, whole and finite, as this specification has them on a backbone.
pub(crate) fn read(path: &Path, whose: Option<Whose>, spec: &AdapterSpec, backbone: &dyn Backbone) -> Result<Adapters> {
    let file = Adapters::read(path, backbone.device())?;
    let chosen = chosen(&file, whose).map_err(|what| Error::Usage(format!("{}: {what}", path.display())))?;
    check_finite(&chosen, || path.display().to_string())?;
    let places = spec.init(Seed::new(0), models::adapter_dtype(backbone), backbone.device())?;
    check(&chosen, spec, &places).map_err(|error| match error {
        Error::Usage(what) => Error::Usage(format!("{}: {what}", path.display())),
        other => other,
    })?;
    Ok(chosen)
}

/// The tensors of one owner, by the names that a site asks for.
fn chosen(file: &Adapters, whose: Option<Whose>) -> std::result::Result<Adapters, String> {
    if file.is_empty() {
        return Err("holds no adapters (a run of `zero-shot` has none); leave --adapters out to judge the backbone alone".into());
    }
    let clients = clients(file)?;
    let shared = file.filter(|name| !name.starts_with(CLIENT));
    let listed = || {
        let shown: Vec<String> = clients.iter().take(20).map(usize::to_string).collect();
        let more = if clients.len() > shown.len() { ", ..." } else { "" };
        format!("{} clients' own adapters ({}{more})", clients.len(), shown.join(", "))
    };
    match whose {
        Some(Whose::Client(client)) => {
            let prefix = format!("{CLIENT}{client}/");
            let own = file.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?.to_owned(), tensor.clone())));
            let own: Adapters = own.collect();
            match (own.is_empty(), clients.is_empty()) {
                (false, _) => Ok(own),
                (true, false) => Err(format!("holds nothing of client {client}; it has {}", listed())),
                (true, true) => Err("holds no client's own adapters, only what all share; leave --client out".into()),
            }
        }
        Some(Whose::Shared) if shared.is_empty() => {
            Err(format!("holds nothing shared; it has {}: --client N judges one", listed()))
        }
        None if !clients.is_empty() => {
            let rest = if shared.is_empty() { "nothing shared" } else { "what they share" };
            let also = if shared.is_empty() { "" } else { ", --client shared what they share (without what is theirs)" };
            Err(format!("holds {} and {rest}: say whose are to be judged: --client N judges a client's own{also}", listed()))
        }
        Some(Whose::Shared) | None => Ok(shared),
    }
}

/// The clients that a file holds adapters of; fails over a tensor that would be nobody's.
fn clients(file: &Adapters) -> std::result::Result<BTreeSet<usize>, String> {
    let client = |rest: &str| {
        let (id, _) = rest.split_once('/')?;
        id.parse().ok().filter(|client: &usize| client.to_string() == id)
    };
    let owned = file.iter().filter_map(|(name, _)| Some((name, name.strip_prefix(CLIENT)?)));
    owned
        .map(|(name, rest)| {
            let unknown = || format!("unknown adapter tensor `{}`; a client's begin with `{CLIENT}<number>/`", line(name, 80));
            client(rest).ok_or_else(unknown)
        })
        .collect()
}

/// Every saved tensor must have a place, and every place its tensors, or the judgement would silently be of something else: adapters
/// of these names, of whatever rank, and what a method merged into frozen weights.
fn check(adapters: &Adapters, spec: &AdapterSpec, places: &Adapters) -> Result<()> {
    let bases: BTreeMap<String, Vec<usize>> =
        spec.sites.iter().map(|site| (AdapterSpec::base_name(site), vec![site.d_out, site.d_in])).collect();
    for (name, tensor) in adapters.iter() {
        let wanted = bases.get(name).cloned().or_else(|| places.get(name).map(|place| place.dims().to_vec()));
        let Some(wanted) = wanted else {
            let shown = line(name, 80);
            return Err(Error::unknown("adapter tensor", &shown, places.iter().map(|(name, _)| name.as_str())));
        };
        let got = tensor.dims();
        let fits = got.len() == wanted.len() && got.iter().zip(&wanted).all(|(got, want)| got == want || *want == spec.rank);
        if !fits {
            return Err(Error::Usage(format!(
                "adapter tensor `{name}` has shape {got:?}; this backbone and rank want {wanted:?}"
            )));
        }
    }
    for site in &spec.sites {
        let begins = format!("{}.", site.name);
        let of_site: Vec<&String> = places.iter().map(|(name, _)| name).filter(|name| belongs(name, &begins)).collect();
        let missing: Vec<&str> = of_site.iter().filter(|name| adapters.get(name).is_none()).map(|name| name.as_str()).collect();
        // What was merged into a frozen weight stands by itself, without a pair.
        let stands_alone = adapters.get(&AdapterSpec::base_name(site)).is_some() && missing.len() == of_site.len();
        if !missing.is_empty() && !stands_alone {
            return Err(Error::Usage(format!(
                "adapter tensor `{}` is missing: without it `{}` would be judged untouched (what clients keep to themselves is under \
                 --client N, where the run saved it)",
                missing[0], site.name
            )));
        }
    }
    let ranks_agree = |site: &str, [down, up]: [String; 2]| match (adapters.get(&down), adapters.get(&up)) {
        (Some(a), Some(b)) if a.dims().first() != b.dims().last() => Err(Error::Usage(format!(
            "adapter tensors `{down}` {:?} and `{up}` {:?} of `{site}` are of different ranks",
            a.dims(),
            b.dims()
        ))),
        _ => Ok(()),
    };
    spec.sites
        .iter()
        .filter_map(|site| Some((&site.name, spec.names(site)?)))
        .try_for_each(|(site, names)| ranks_agree(site, names))
}

/// Whether a tensor is one of a site's own: `layers.0.q_proj.lora_A` is not `layers.0`'s.
fn belongs(name: &str, begins: &str) -> bool {
    name.strip_prefix(begins).is_some_and(|rest| !rest.contains('.'))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;

    fn file(names: &[&str]) -> Adapters {
        let one = || Tensor::zeros(1, DType::F32, &Device::Cpu).expect("a tensor");
        names.iter().map(|name| ((*name).to_owned(), one())).collect()
    }

    #[test]
    fn an_owner_is_named_or_asked_for() {
        let own = file(&["client-0/a", "client-12/a"]);
        let mixed = file(&["a", "client-0/a", "client-12/a"]);
        let error = |file: &Adapters, whose| chosen(file, whose).expect_err("must be refused");
        assert!(error(&file(&[]), None).contains("holds no adapters"));
        assert!(error(&own, None).contains("2 clients' own adapters (0, 12) and nothing shared"));
        assert!(error(&mixed, None).contains("--client shared"));
        assert!(error(&own, Some(Whose::Shared)).contains("nothing shared"));
        assert!(error(&own, Some(Whose::Client(1))).contains("nothing of client 1; it has 2 clients' own adapters (0, 12)"));
        assert!(error(&file(&["a"]), Some(Whose::Client(1))).contains("leave --client out"));
        for odd in ["client-x/a", "client-+0/a", "client-00/a", "client--1/a", "client-0", "client-"] {
            for whose in [None, Some(Whose::Shared), Some(Whose::Client(0))] {
                let error = error(&file(&["a", "client-0/a", odd]), whose);
                assert!(error.contains(&format!("unknown adapter tensor `{odd}`")), "{error}");
            }
        }
        for (file, whose) in [(file(&["a"]), None), (mixed.clone(), Some(Whose::Shared)), (own, Some(Whose::Client(12)))] {
            let names: Vec<String> = chosen(&file, whose).expect("chosen").iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(names, ["a"]);
        }
    }
}
