//! Nodes as they could be, measured as a kernel would, and evaluated.

mod document;
mod evidence;
mod kubernetes;
mod platforms;
mod reports;
mod state;
mod tailoring;
mod ubuntu;
