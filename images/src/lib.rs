//! Reproducible guest images, and the Reference Values computed from them.
//!
//! Two halves. *Building* ([`build`], with [`lock`], [`fetch`], [`deb`], [`root`], [`cpio`]) turns Debian packages named by
//! digest in a lock file, and the agent, into a kernel and an initrd: the same inputs give the same bytes.
//! *Measuring* ([`reference`](mod@reference), with [`launch`], [`boot`] and [`oci`]) computes from files, and from nothing else, what the hardware,
//! the firmware and the kernel will report about them. Nothing here decides whether evidence is good.
#![forbid(unsafe_code)]

pub mod apt;
pub mod boot;
pub mod build;
pub mod cpio;
pub mod deb;
pub mod elf;
pub mod fetch;
pub mod launch;
pub mod lock;
pub mod oci;
pub mod pe;
pub mod recipe;
pub mod reference;
pub mod root;
pub mod tcb;
