//! The guest's root file system, put together from packages and the agent.

use crate::cpio::{Object, Tree};
use crate::deb::{Files, Node};
use crate::elf::{self, ElfError};
use crate::recipe::{AGENT, CRUN, LIBRARIES, LOADER, MODULE_DIRECTORY, MODULES, OPENED_AT_RUN_TIME};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

/// Most bytes of one decompressed kernel module: ten times the largest that is used.
const MAX_MODULE: u64 = 16 << 20;
/// Most symbolic links from a library's name to its file.
const MAX_LINKS: usize = 8;

/// Why the root file system cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A file that must be in the packages is not.
    #[error(
        "no package of the lock file holds {path} (needed by {by}); add the package that does to the recipe"
    )]
    Missing {
        /// Which file.
        path: String,
        /// What needs it.
        by: String,
    },
    /// A program or library cannot be read.
    #[error("{path}: {source}")]
    Elf {
        /// Which file.
        path: String,
        /// What is wrong.
        source: ElfError,
    },
    /// A kernel module does not decompress.
    #[error("kernel module {name} does not decompress: {detail}")]
    Module {
        /// Which module.
        name: String,
        /// What is wrong.
        detail: String,
    },
    /// The kernel package holds no kernel, or more than one.
    #[error("expected one kernel in the kernel's package, found {found:?}")]
    Kernel {
        /// What was found.
        found: Vec<String>,
    },
}

/// The kernel of a package: its version and image.
pub fn kernel(files: &Files) -> Result<(String, &[u8]), RootError> {
    let kernels: Vec<_> = files
        .iter()
        .filter_map(|(path, node)| match (path.strip_prefix("boot/vmlinuz-"), node) {
            (Some(version), Node::File(content)) => Some((version.to_owned(), content.as_slice())),
            _ => None,
        })
        .collect();
    match <[_; 1]>::try_from(kernels) {
        Ok([kernel]) => Ok(kernel),
        Err(kernels) => Err(RootError::Kernel { found: kernels.into_iter().map(|k| k.0).collect() }),
    }
}

/// The whole tree.
pub fn assemble(packages: &Files, agent: &[u8], kernel_version: &str) -> Result<Tree, RootError> {
    let mut tree = skeleton();
    tree.insert(AGENT.to_owned(), Object::File(0o755, agent.to_owned()));
    let crun = regular(packages, CRUN, "the recipe")?;
    tree.insert(CRUN.to_owned(), Object::File(0o755, crun.to_owned()));
    let mut todo: Vec<(String, String)> = vec![(LOADER.to_owned(), "every program".to_owned())];
    todo.extend(OPENED_AT_RUN_TIME.iter().map(|name| ((*name).to_owned(), "the recipe".to_owned())));
    add_needed(AGENT, agent, &mut todo)?;
    add_needed(CRUN, crun, &mut todo)?;
    while let Some((name, by)) = todo.pop() {
        let path = format!("{LIBRARIES}/{name}");
        if tree.contains_key(&path) {
            continue;
        }
        let content = regular(packages, &path, &by)?;
        add_needed(&path, content, &mut todo)?;
        tree.insert(path, Object::File(0o755, content.to_owned()));
    }
    for (number, (name, content)) in modules(packages, kernel_version)?.into_iter().enumerate() {
        tree.insert(format!("{MODULE_DIRECTORY}/{number:03}-{name}.ko"), Object::File(0o644, content));
    }
    Ok(tree)
}

fn skeleton() -> Tree {
    let mut tree = Tree::new();
    for path in [
        "dev",
        "etc",
        "proc",
        "run",
        "sys",
        "usr",
        "usr/bin",
        "usr/lib",
        "usr/lib64",
        "usr/lib/sealpod",
        "usr/sbin",
        "var",
    ] {
        tree.insert(path.to_owned(), Object::Directory(0o755));
    }
    for path in [LIBRARIES, MODULE_DIRECTORY] {
        tree.insert(path.to_owned(), Object::Directory(0o755));
    }
    tree.insert("root".to_owned(), Object::Directory(0o700));
    tree.insert("tmp".to_owned(), Object::Directory(0o1777));
    let loader = format!("usr/lib64/{LOADER}");
    let loader_target = format!("../lib/x86_64-linux-gnu/{LOADER}");
    let links = [
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("sbin", "usr/sbin"),
        ("init", AGENT),
        ("var/run", "/run"),
    ];
    for (path, target) in links.into_iter().chain([(loader.as_str(), loader_target.as_str())]) {
        tree.insert(path.to_owned(), Object::Symlink(target.to_owned()));
    }
    let accounts =
        [("etc/passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\n"), ("etc/group", "root:x:0:\n")];
    for (path, content) in accounts {
        tree.insert(path.to_owned(), Object::File(0o644, content.into()));
    }
    tree
}

fn add_needed(path: &str, content: &[u8], todo: &mut Vec<(String, String)>) -> Result<(), RootError> {
    let needed = elf::needed(content).map_err(|source| RootError::Elf { path: path.to_owned(), source })?;
    todo.extend(needed.into_iter().map(|name| (name, path.to_owned())));
    Ok(())
}

/// A regular file of the packages, links in the same directory followed.
fn regular<'a>(packages: &'a Files, path: &str, by: &str) -> Result<&'a [u8], RootError> {
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        match packages.get(&at) {
            Some(Node::File(content)) => return Ok(content),
            Some(Node::Symlink(target)) if !target.contains('/') => {
                at = at
                    .rsplit_once('/')
                    .map_or(target.clone(), |(directory, _)| format!("{directory}/{target}"));
            }
            _ => break,
        }
    }
    Err(RootError::Missing { path: path.to_owned(), by: by.to_owned() })
}

/// Decompressed modules of the recipe, each after those that it depends on.
fn modules(packages: &Files, kernel_version: &str) -> Result<Vec<(String, Vec<u8>)>, RootError> {
    let base = format!("usr/lib/modules/{kernel_version}/");
    let available: BTreeMap<String, &[u8]> = packages
        .iter()
        .filter_map(|(path, node)| {
            let file = path.strip_prefix(&base)?.rsplit('/').next()?;
            let name = file.strip_suffix(".ko.xz")?;
            let Node::File(content) = node else {
                return None;
            };
            Some((normal(name), content.as_slice()))
        })
        .collect();
    let built_in: BTreeSet<String> = match packages.get(&format!("{base}modules.builtin")) {
        Some(Node::File(text)) => String::from_utf8_lossy(text)
            .lines()
            .filter_map(|line| Some(normal(line.rsplit('/').next()?.strip_suffix(".ko")?)))
            .collect(),
        _ => {
            return Err(RootError::Missing {
                path: format!("{base}modules.builtin"),
                by: "the modules".to_owned(),
            });
        }
    };
    let mut list = ModuleList { available, built_in, done: Vec::new(), seen: BTreeSet::new() };
    for name in MODULES {
        list.add(name, "the recipe")?;
    }
    Ok(list.done)
}

struct ModuleList<'a> {
    available: BTreeMap<String, &'a [u8]>,
    built_in: BTreeSet<String>,
    done: Vec<(String, Vec<u8>)>,
    seen: BTreeSet<String>,
}

impl ModuleList<'_> {
    fn add(&mut self, name: &str, by: &str) -> Result<(), RootError> {
        let key = normal(name);
        if self.built_in.contains(&key) || !self.seen.insert(key.clone()) {
            return Ok(());
        }
        let missing = || RootError::Missing { path: format!("kernel module {name}"), by: by.to_owned() };
        let compressed = self.available.get(&key).copied().ok_or_else(missing)?;
        let content = decompress(name, compressed)?;
        let depends = elf::module_depends(&content)
            .map_err(|source| RootError::Elf { path: name.to_owned(), source })?;
        for other in depends {
            self.add(&other, name)?;
        }
        self.done.push((name.to_owned(), content));
        Ok(())
    }
}

fn decompress(name: &str, compressed: &[u8]) -> Result<Vec<u8>, RootError> {
    let fail = |detail: String| RootError::Module { name: name.to_owned(), detail };
    let mut content = Vec::new();
    let decoder = xz2::read::XzDecoder::new(compressed);
    decoder.take(MAX_MODULE + 1).read_to_end(&mut content).map_err(|e| fail(e.to_string()))?;
    if content.len() as u64 > MAX_MODULE {
        return Err(fail(format!("more than the {MAX_MODULE} bytes allowed")));
    }
    Ok(content)
}

/// The kernel takes `-` and `_` in module names for the same.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}
