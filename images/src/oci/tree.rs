//! The root file system that layers give, reduced to what matters for paths: directories, links, and files' digests.
//!
//! Follows what the guest does when it unpacks (guest/src/image/rootfs.rs): parents are looked up through symbolic
//! links inside the tree and made where they are missing, and the last component replaces what is there.

use sealpod_evidence::bytes::Sha256Digest;
use std::collections::{BTreeMap, BTreeSet};

/// Most symbolic links followed in one path (Linux `MAXSYMLINKS`).
const MAX_SYMLINKS: usize = 40;

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File(Sha256Digest),
    /// A symbolic link and its target.
    Symlink(String),
}

/// Why an entry cannot be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A parent is a file, or a link that leads nowhere.
    #[error("a parent is not a directory")]
    NotDirectory,
    /// Links in a circle.
    #[error("more than {MAX_SYMLINKS} symbolic links on the way")]
    Links,
    /// A hard link to something that is not there, or to a directory.
    #[error("the file that it is a second name for is not there")]
    NoSource,
}

/// All objects by path without leading `/`; the root itself is not in it.
#[derive(Debug, Default)]
pub struct Tree {
    /// The object and the number of the layer that placed it.
    nodes: BTreeMap<String, (Node, usize)>,
    layer: usize,
}

impl Tree {
    /// Start a layer: whiteouts from here on hide what is there now.
    pub fn begin_layer(&mut self) {
        self.layer += 1;
    }

    /// Place an object, with its missing parents. A directory that is there already is taken over.
    pub fn place(&mut self, path: &[String], node: Node) -> Result<(), TreeError> {
        let path = self.locate(path, true)?;
        match (&node, self.nodes.get(&path)) {
            (Node::Directory, Some((Node::Directory, _))) => {}
            _ => self.remove(&path),
        }
        self.nodes.insert(path, (node, self.layer));
        Ok(())
    }

    /// Give a file a second name.
    pub fn hard_link(&mut self, path: &[String], source: &[String]) -> Result<(), TreeError> {
        let source = self.locate(source, false)?;
        match self.nodes.get(&source) {
            Some((Node::Directory, _)) | None => Err(TreeError::NoSource),
            Some((node, _)) => {
                let node = node.clone();
                self.place(path, node)
            }
        }
    }

    /// Hide an object of a lower layer.
    pub fn whiteout(&mut self, path: &[String]) -> Result<(), TreeError> {
        match self.locate(path, false) {
            Ok(path) => self.hide(&path),
            Err(TreeError::NotDirectory) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// Hide all objects of lower layers in the directory that holds `path`.
    pub fn opaque(&mut self, path: &[String]) -> Result<(), TreeError> {
        let path = self.locate(path, true)?;
        let prefix = path.rsplit_once('/').map_or_else(String::new, |(parent, _)| format!("{parent}/"));
        self.hide_below(&prefix);
        Ok(())
    }

    /// Regular files by absolute path.
    pub fn files(&self) -> BTreeMap<String, Vec<Sha256Digest>> {
        let files = self.nodes.iter().filter_map(|(path, (node, _))| match node {
            Node::File(digest) => Some((format!("/{path}"), vec![*digest])),
            _ => None,
        });
        files.collect()
    }

    /// Remove what lower layers placed at `path` and below; what this layer placed stays, with its parents.
    fn hide(&mut self, path: &str) {
        self.hide_below(&format!("{path}/"));
        let below = format!("{path}/");
        let kept = self.nodes.range(below.clone()..).next().is_some_and(|(p, _)| p.starts_with(&below));
        if !kept && self.nodes.get(path).is_some_and(|(_, layer)| *layer < self.layer) {
            self.nodes.remove(path);
        }
    }

    fn hide_below(&mut self, prefix: &str) {
        let below = |path: &String| path.starts_with(prefix);
        let range = self.nodes.range(prefix.to_owned()..).take_while(|(p, _)| below(p));
        let (fresh, old): (Vec<_>, Vec<_>) = range.partition(|(_, (_, layer))| *layer == self.layer);
        let parents =
            |path: &str| path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect::<Vec<_>>();
        let needed: BTreeSet<String> = fresh.into_iter().flat_map(|(path, _)| parents(path)).collect();
        let old: Vec<String> =
            old.into_iter().map(|(path, _)| path.clone()).filter(|path| !needed.contains(path)).collect();
        for path in old {
            self.nodes.remove(&path);
        }
    }

    fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        let prefix = format!("{path}/");
        let below = self.nodes.range(prefix.clone()..).take_while(|(p, _)| p.starts_with(&prefix));
        for path in below.map(|(p, _)| p.clone()).collect::<Vec<_>>() {
            self.nodes.remove(&path);
        }
    }

    /// The path with its parents looked up; missing ones are made if asked for.
    fn locate(&mut self, path: &[String], make: bool) -> Result<String, TreeError> {
        let Some((name, parents)) = path.split_last() else {
            return Err(TreeError::NotDirectory);
        };
        // A segment, and whether the entry itself names it: only those are made, never what a link points at.
        let mut todo: Vec<(String, bool)> = parents.iter().rev().map(|s| (s.clone(), true)).collect();
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some((segment, named)) = todo.pop() {
            if segment == ".." {
                // As RESOLVE_IN_ROOT has it: the root's parent is the root.
                done.pop();
                continue;
            }
            done.push(segment);
            match self.nodes.get(&done.join("/")) {
                Some((Node::Directory, _)) => {}
                Some((Node::Symlink(target), _)) => {
                    links += 1;
                    if links > MAX_SYMLINKS {
                        return Err(TreeError::Links);
                    }
                    if target.starts_with('/') {
                        done.clear();
                    } else {
                        done.pop();
                    }
                    let parts = target.split('/').rev().filter(|s| !s.is_empty() && *s != ".");
                    todo.extend(parts.map(|s| (s.to_owned(), false)));
                }
                None if make && named => {
                    self.nodes.insert(done.join("/"), (Node::Directory, self.layer));
                }
                _ => return Err(TreeError::NotDirectory),
            }
        }
        done.push(name.clone());
        Ok(done.join("/"))
    }
}
