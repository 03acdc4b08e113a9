//! What the pod of [`super::Bundle::valid`] is.

use super::Files;
use crate::hash::sha256;
use sealpod_evidence::initdata::{Broker, PodPolicy};
use sealpod_evidence::workload::{ContainerRule, ContainerSpec, ImageDigest, SecretMount};

/// The nonce that [`super::Bundle::valid`] answers: base64 of 32 bytes.
pub const NONCE: &str = "c2VhbHBvZCB0ZXN0IG5vbmNlLCAzMiBieXRlcyBsb24=";
/// The one secret of its one container.
pub const RESOURCE: &str = "default/key/test";
/// The OCI manifest digest of the one container's image.
pub const CONTAINER_IMAGE: &str = "sha256:a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";

pub(super) fn image_digest() -> ImageDigest {
    CONTAINER_IMAGE.parse().expect("an image digest")
}

pub(super) fn guest_files() -> Files {
    files(&[
        "/usr/bin/crun",
        "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
    ])
}

pub(super) fn image_files() -> Files {
    files(&["/bin/app", "/lib/libapp.so"])
}

fn files(paths: &[&str]) -> Files {
    paths.iter().map(|path| ((*path).to_owned(), sha256(path.as_bytes()))).collect()
}

pub(super) fn policy() -> PodPolicy {
    let secret = SecretMount {
        name: "key".to_owned(),
        resource: RESOURCE.parse().expect("a resource path"),
        path: "/run/secrets/key".to_owned(),
    };
    let spec = ContainerSpec {
        image: image_digest(),
        args: vec!["/bin/app".to_owned(), "--serve".to_owned()],
        env: vec!["PATH=/bin".to_owned()],
        working_dir: "/".to_owned(),
        uid: 0,
        gid: 0,
        secrets: vec![secret],
    };
    PodPolicy {
        kbs: Some(Broker { url: "https://broker.test:8443".to_owned(), ca: "test authority".to_owned() }),
        containers: vec![ContainerRule {
            spec,
            allow_output: true,
            allow_input: false,
            allow_signals: false,
        }],
    }
}
