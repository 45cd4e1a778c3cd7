//! The files of one crate, and who takes a name from whom.
//!
//! An arrow runs from a file to the file that *defines* what it names: re-exports are followed to the end, and a `lib.rs` or `mod.rs`
//! that only declares and re-exports (a face) has no arrows of its own. Tests (`#[cfg(test)]`) are left out.
//! What only the compiler sees, the method of a value, is no arrow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The circles of the crate whose root is this file, each told arrow by arrow: `a.rs -> b.rs: the names`.
pub fn circles(root: &Path) -> Result<Vec<String>> {
    let modules = Modules::read(root)?;
    let arrows = modules.arrows()?;
    let told = |ring: BTreeSet<usize>| {
        let within = arrows.iter().filter(|((from, to), _)| ring.contains(from) && ring.contains(to));
        let arrow = |((from, to), names): (&(usize, usize), &BTreeSet<String>)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{} -> {}: {}\n", modules.files[*from], modules.files[*to], names.join(", "))
        };
        within.map(arrow).collect()
    };
    Ok(rings(&arrows).into_iter().map(told).collect())
}

/// From a file to a file, both by number: the names that the first takes from the second.
type Arrows = BTreeMap<(usize, usize), BTreeSet<String>>;

/// The files that reach each other, circle by circle.
fn rings(arrows: &Arrows) -> Vec<BTreeSet<usize>> {
    let reached = |from: usize| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(at) = open.pop() {
            open.extend(arrows.keys().filter(|(from, _)| *from == at).map(|(_, to)| *to).filter(|to| seen.insert(*to)));
        }
        seen
    };
    let reach: BTreeMap<usize, BTreeSet<usize>> = arrows.keys().map(|(from, _)| (*from, reached(*from))).collect();
    let circle =
        |file: &usize| reach[file].iter().copied().filter(|to| reach.get(to).is_some_and(|back| back.contains(file))).collect();
    reach.keys().map(circle).filter(|circle: &BTreeSet<usize>| !circle.is_empty()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A crate's modules, from its root on.
struct Modules {
    /// The files, as they lie below the folder of the root.
    files: Vec<String>,
    modules: Vec<Module>,
}

#[derive(Default)]
struct Module {
    file: usize,
    parent: usize,
    children: BTreeMap<String, usize>,
    /// What is defined here.
    items: BTreeSet<String>,
    /// What is imported here, by the name it has here: functions and types may share one.
    imports: Vec<(String, Vec<String>)>,
    globs: Vec<Vec<String>>,
    /// Every path that is written here.
    paths: BTreeSet<Vec<String>>,
    /// Nothing but declarations and imports.
    face: bool,
    /// A macro may define more here: what names this reader does not know.
    made: bool,
}

/// What a path leads to.
#[derive(Clone, PartialEq)]
enum Place {
    Module(usize),
    Item(usize, String),
    /// Another crate.
    Outside,
}

impl Modules {
    fn read(root: &Path) -> Result<Self> {
        let mut modules = Self { files: Vec::new(), modules: Vec::new() };
        let folder = root.parent().context("a file lies in a folder")?;
        modules.file(root, folder, folder, 0)?;
        Ok(modules)
    }

    fn file(&mut self, path: &Path, top: &Path, folder: &Path, parent: usize) -> Result<usize> {
        let text = fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("`{}` is not Rust", path.display()))?;
        self.files.push(path.strip_prefix(top)?.display().to_string());
        self.module(&parsed.items, self.files.len() - 1, top, folder, parent)
    }

    /// Reads a module's items, its children first where they are written inside it.
    fn module(&mut self, items: &[Item], file: usize, top: &Path, folder: &Path, parent: usize) -> Result<usize> {
        let id = self.modules.len();
        let face = items.iter().all(|item| is_test(item) || matches!(item, Item::Use(_) | Item::Mod(_)));
        let made = items.iter().any(|item| matches!(item, Item::Macro(item) if item.ident.is_none()));
        self.modules.push(Module { file, parent, face, made, ..Module::default() });
        for item in items.iter().filter(|item| !is_test(item)) {
            let Item::Mod(child) = item else {
                let module = &mut self.modules[id];
                module.items.extend(name(item));
                module.visit_item(item);
                continue;
            };
            let (name, below) = (child.ident.to_string(), folder.join(child.ident.to_string()));
            let child = match &child.content {
                Some((_, items)) => self.module(items, file, top, &below, id)?,
                None => self.file(&place(folder, &name)?, top, &below, id)?,
            };
            self.modules[id].children.insert(name, child);
        }
        Ok(id)
    }

    /// Who takes what from whom; an error where a path inside the crate leads nowhere, for then this reader misreads it.
    fn arrows(&self) -> Result<Arrows> {
        let mut arrows = Arrows::new();
        for (id, module) in self.modules.iter().enumerate() {
            let imports = module.imports.iter().map(|(_, path)| path).filter(|_| !module.face);
            for path in imports.chain(&module.paths) {
                match self.resolve(id, path, &mut BTreeSet::new()) {
                    Some(Place::Item(file, name)) if file != module.file => {
                        arrows.entry((module.file, file)).or_default().insert(name);
                    }
                    None if ["crate", "self", "super"].contains(&path[0].as_str()) => {
                        bail!("`{}`: `{}` leads nowhere", self.files[module.file], path.join("::"))
                    }
                    _ => {}
                }
            }
        }
        Ok(arrows)
    }

    fn resolve(&self, from: usize, path: &[String], seen: &mut BTreeSet<(usize, String)>) -> Option<Place> {
        let mut at = from;
        for name in path {
            at = match name.as_str() {
                "crate" => 0,
                "self" => at,
                "super" => self.modules[at].parent,
                name => match self.named(at, name, seen) {
                    Some(Place::Module(module)) => module,
                    None if self.modules[at].made => return Some(Place::Item(self.modules[at].file, name.into())),
                    other => return other,
                },
            };
        }
        Some(Place::Module(at))
    }

    /// What a name means in a module; `seen` ends the search where imports lead in a circle.
    fn named(&self, at: usize, name: &str, seen: &mut BTreeSet<(usize, String)>) -> Option<Place> {
        let module = &self.modules[at];
        if module.items.contains(name) {
            return Some(Place::Item(module.file, name.into()));
        }
        if let Some(child) = module.children.get(name) {
            return Some(Place::Module(*child));
        }
        if !seen.insert((at, name.into())) {
            return None;
        }
        let imports: Vec<_> = module.imports.iter().filter(|(known, _)| known == name).collect();
        let imported = imports.iter().find_map(|(_, path)| self.resolve(at, path, seen));
        imported.or_else(|| (!imports.is_empty()).then_some(Place::Outside)).or_else(|| {
            module.globs.iter().find_map(|path| match self.resolve(at, path, &mut seen.clone())? {
                Place::Module(module) if module != at => self.named(module, name, seen),
                _ => None,
            })
        })
    }
}

/// The file of a module that is declared only.
fn place(folder: &Path, name: &str) -> Result<PathBuf> {
    let (file, inner) = (folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs"));
    [file, inner]
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("no file of `{name}` in `{}`", folder.display()))
}

fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    let tests = |attribute: &Attribute| attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"));
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && tests(attribute))
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

impl Module {
    fn import(&mut self, tree: &UseTree, mut path: Vec<String>) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.import(&tree.tree, path);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, path.clone())),
            UseTree::Glob(_) => self.globs.push(path),
            UseTree::Name(tree) if tree.ident == "self" => self.imports.extend(path.last().cloned().map(|name| (name, path))),
            UseTree::Name(tree) => self.imports.push((tree.ident.to_string(), [path, vec![tree.ident.to_string()]].concat())),
            UseTree::Rename(tree) => self.imports.push((tree.rename.to_string(), [path, vec![tree.ident.to_string()]].concat())),
        }
    }

    fn path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none() {
            self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
    }

    /// The paths among a macro's words: `a::b` wherever it stands.
    fn words(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.paths.extend((!path.is_empty()).then(|| std::mem::take(&mut path)));
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Group(group) => self.words(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.paths.extend((!path.is_empty()).then_some(path));
    }
}

impl<'a> Visit<'a> for Module {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.import(&item.tree, Vec::new());
    }

    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        self.path(path);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'a syn::Macro) {
        self.words(invoked.tokens.clone());
        visit::visit_macro(self, invoked);
    }

    /// Functions that serde is told of stand in texts: `#[serde(default = "path")]`.
    fn visit_attribute(&mut self, attribute: &'a Attribute) {
        let Ok(list) = attribute.meta.require_list() else { return };
        let texts = list.tokens.clone().into_iter().filter_map(|token| syn::parse2::<syn::LitStr>(token.into()).ok());
        texts.filter_map(|text| text.parse().ok()).for_each(|path| self.path(&path));
    }
}
