//! [`Reports`] as a FUSE file system, mounted where configfs would be: `tsm/report/<entry>/<attribute>`.
//!
//! As in configfs, a binary attribute is taken when its file is closed (`flush`, which `close(2)` waits for), and
//! an open file reads one consistent blob: if the entry was written to meanwhile, reading on is `EWOULDBLOCK`.

mod node;

use super::attributes::{ATTRIBUTES, Attribute, Platform, Reports};
use fuser::{
    Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};
use node::Node;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Nothing is cached by the kernel: entries come and go.
const TTL: Duration = Duration::ZERO;
/// Most files open at once.
const OPEN_MAX: usize = 1024;

/// An open file.
#[derive(Debug)]
struct Open {
    node: Node,
    /// What was read at the first read, and the entry's generation then.
    read: Option<(u64, Vec<u8>)>,
    /// What was written and not taken yet.
    written: Option<Vec<u8>>,
}

struct State<P> {
    reports: Reports<P>,
    open: BTreeMap<u64, Open>,
    next: u64,
}

/// The file system.
pub struct TsmFs<P>(Mutex<State<P>>);

impl<P: Platform> TsmFs<P> {
    /// An empty `tsm/report`.
    pub fn new(platform: P) -> Self {
        Self(Mutex::new(State { reports: Reports::new(platform), open: BTreeMap::new(), next: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Platform> State<P> {
    fn node(&self, inode: INodeNo) -> Result<Node, Errno> {
        let node = Node::from_inode(inode).ok_or(Errno::ENOENT)?;
        match node {
            Node::Entry(entry) | Node::File(entry, _) if !self.reports.contains(entry) => Err(Errno::ENOENT),
            _ => Ok(node),
        }
    }

    fn lookup(&self, parent: INodeNo, name: &OsStr) -> Result<Node, Errno> {
        let name = name.to_str().ok_or(Errno::ENOENT)?;
        let children = self.children(self.node(parent)?)?;
        children.into_iter().find(|(n, _)| n == name).map(|(_, node)| node).ok_or(Errno::ENOENT)
    }

    fn children(&self, node: Node) -> Result<Vec<(String, Node)>, Errno> {
        Ok(match node {
            Node::Root => vec![("tsm".to_owned(), Node::Tsm)],
            Node::Tsm => vec![("report".to_owned(), Node::Report)],
            Node::Report => {
                self.reports.names().map(|(entry, name)| (name.to_owned(), Node::Entry(entry))).collect()
            }
            Node::Entry(entry) => ATTRIBUTES
                .iter()
                .filter(|(attribute, ..)| attribute.visible(self.reports.svsm()))
                .map(|(attribute, name, _)| ((*name).to_owned(), Node::File(entry, *attribute)))
                .collect(),
            Node::File(..) => return Err(Errno::ENOTDIR),
        })
    }

    fn open(&mut self, inode: INodeNo) -> Result<u64, Errno> {
        let node = self.node(inode)?;
        if self.open.len() >= OPEN_MAX {
            return Err(Errno::ENFILE);
        }
        let handle = self.next;
        self.next += 1;
        self.open.insert(handle, Open { node, read: None, written: None });
        Ok(handle)
    }

    fn read(&mut self, handle: u64, offset: u64, size: usize) -> Result<Vec<u8>, Errno> {
        let open = self.open.get_mut(&handle).ok_or(Errno::EBADF)?;
        let Node::File(entry, attribute) = open.node else {
            return Err(Errno::EISDIR);
        };
        let generation = self.reports.generation(entry).map_err(errno)?;
        let content = match &open.read {
            Some((then, content)) if *then == generation => content,
            Some(_) if offset > 0 => return Err(Errno::EWOULDBLOCK),
            _ => {
                let content = self.reports.read(entry, attribute).map_err(errno)?;
                &open.read.insert((generation, content)).1
            }
        };
        let start = content.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
        let end = start.saturating_add(size).min(content.len());
        Ok(content[start..end].to_vec())
    }

    fn write(&mut self, handle: u64, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let open = self.open.get_mut(&handle).ok_or(Errno::EBADF)?;
        let Node::File(entry, attribute) = open.node else {
            return Err(Errno::EISDIR);
        };
        if attribute != Attribute::Inblob {
            // Text attributes are taken write by write.
            return match offset {
                0 => self.reports.write(entry, attribute, data).map_err(errno),
                _ => Err(Errno::EINVAL),
            };
        }
        let written = open.written.get_or_insert_default();
        let end = (offset as usize).checked_add(data.len()).ok_or(Errno::EFBIG)?;
        if end > super::attributes::INBLOB_MAX {
            return Err(Errno::EFBIG);
        }
        if written.len() < end {
            written.resize(end, 0);
        }
        written[offset as usize..end].copy_from_slice(data);
        Ok(())
    }

    fn flush(&mut self, handle: u64) -> Result<(), Errno> {
        let open = self.open.get_mut(&handle).ok_or(Errno::EBADF)?;
        match (open.written.take(), open.node) {
            (Some(written), Node::File(entry, attribute)) => {
                self.reports.write(entry, attribute, &written).map_err(errno)
            }
            _ => Ok(()),
        }
    }
}

fn errno(error: nix::errno::Errno) -> Errno {
    Errno::from_i32(error as i32)
}

impl<P: Platform + 'static> Filesystem for TsmFs<P> {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.state().lookup(parent, name) {
            Ok(node) => reply.entry(&TTL, &node.attr(), Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.state().node(inode) {
            Ok(node) => reply.attr(&TTL, &node.attr()),
            Err(error) => reply.error(error),
        }
    }

    // Only because opening with O_TRUNC asks for size 0: there is nothing to truncate.
    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        self.getattr(request, inode, handle, reply);
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let mut state = self.state();
        let made = match (state.node(parent), name.to_str()) {
            (Ok(Node::Report), Some(name)) => state.reports.make(name).map_err(errno),
            (Ok(_), _) => Err(Errno::EPERM),
            (Err(error), _) => Err(error),
        };
        match made {
            Ok(entry) => reply.entry(&TTL, &Node::Entry(entry).attr(), Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        let removed = match (state.node(parent), name.to_str()) {
            (Ok(Node::Report), Some(name)) => state.reports.remove(name).map_err(errno),
            (Ok(_), _) => Err(Errno::EPERM),
            (Err(error), _) => Err(error),
        };
        match removed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    // Files cannot be made; what configfs answers then.
    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EACCES);
    }

    fn create(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        reply.error(Errno::EACCES);
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.state().open(inode) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.state().read(u64::from(handle), offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.state().write(u64::from(handle), offset, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, handle: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        match self.state().flush(u64::from(handle)) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.state().open.remove(&u64::from(handle));
        reply.ok();
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.state();
        let children = match state.node(inode).and_then(|node| state.children(node)) {
            Ok(children) => children,
            Err(error) => return reply.error(error),
        };
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (name, node)) in children.iter().enumerate().skip(skip) {
            if reply.add(INodeNo(node.inode()), index as u64 + 1, node.attr().kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

#[cfg(test)]
mod tests;
