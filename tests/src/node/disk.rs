//! The node's disk: a small Debian-like root, laid out as a worker that kubeadm made.

use crate::process::succeed;
use anyhow::{Context as _, Result};
use sealpod_evidence::node::request::MeasureRequest;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Debian's `busybox-static`.
pub const BUSYBOX: &str = "/usr/bin/busybox";
const SHORT: Duration = Duration::from_secs(120);
/// Size of the file system.
const SIZE: &str = "96M";

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs security /sys/kernel/security
mount -o remount,rw /
mount -t tmpfs run /run
mount -t tmpfs -o nosuid,nodev,noexec tmp /tmp
sealpod-guest node policy --load && echo 'policy: in force'
/usr/bin/kubelet -c 'sleep 100000' --config=/var/lib/kubelet/config.yaml --kubeconfig=/etc/kubernetes/kubelet.conf &
round() {
    printf '{\"nonce\":\"%s\",\"request\":%s}' \"$1\" \"$(cat /etc/sealpod/request.json)\" >/run/challenge.json
    answer
}
answer() {
    sealpod-guest node collect --challenge /run/challenge.json --output /run/evidence.json &&
        cat /run/evidence.json >$(echo /dev/vport*p1)
}
tr -d '\\000' </dev/vdb >/run/script
set -e
trap 'sync; poweroff -f' EXIT
. /run/script
echo 'script: done'
";

/// Path, mode, content: a worker as kubeadm 1.27 leaves it, hardened as the benchmark asks.
pub const FILES: &[(&str, u32, &str)] = &[
    ("etc/os-release", 0o644, "ID=debian\nVERSION_ID=\"12\"\n"),
    ("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n"),
    ("etc/group", 0o644, "root:x:0:\nshadow:x:42:\n"),
    ("etc/shadow", 0o640, "root:!:19700:0:99999:7:::\n"),
    (
        "lib/systemd/system/kubelet.service",
        0o644,
        "[Unit]\nDescription=kubelet\n\n[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n\n[Install]\nWantedBy=multi-user.target\n",
    ),
    (
        "etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
        0o600,
        "[Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf\"\n\
         Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\n\
         EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nEnvironmentFile=-/etc/default/kubelet\nExecStart=\n\
         ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n",
    ),
    ("etc/kubernetes/kubelet.conf", 0o600, "apiVersion: v1\nkind: Config\n"),
    ("etc/kubernetes/pki/ca.crt", 0o600, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
    (
        "var/lib/kubelet/kubeadm-flags.env",
        0o600,
        "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/containerd/containerd.sock\"\n",
    ),
    ("var/lib/kubelet/config.yaml", 0o600, KUBELET_CONFIG),
    ("var/lib/kube-proxy/kubeconfig.conf", 0o600, "apiVersion: v1\nkind: Config\n"),
    (
        "var/lib/kube-proxy/config.conf",
        0o600,
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmetricsBindAddress: 127.0.0.1:10249\n",
    ),
];

/// What the benchmark wants of a kubelet.
pub const KUBELET_CONFIG: &str = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: true
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
authorization:
  mode: Webhook
readOnlyPort: 0
streamingConnectionIdleTimeout: 5m0s
protectKernelDefaults: true
makeIPTablesUtilChains: true
eventRecordQPS: 5
tlsCertFile: /var/lib/kubelet/pki/kubelet.crt
tlsPrivateKeyFile: /var/lib/kubelet/pki/kubelet.key
rotateCertificates: true
serverTLSBootstrap: true
featureGates:
  RotateKubeletServerCertificate: true
tlsCipherSuites:
  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
  - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
podPidsLimit: 4096
seccompDefault: true
";

/// Makes the tree and the file system.
pub fn make(agent: &Path, request: &MeasureRequest, root: &Path, disk: &Path) -> Result<()> {
    for directory in [
        "bin",
        "sbin",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "root",
        "usr/bin",
        "usr/sbin",
        "lib64",
        "etc/sealpod",
    ] {
        fs::create_dir_all(root.join(directory))?;
    }
    fs::copy(BUSYBOX, root.join("bin/busybox")).context("busybox-static is not installed")?;
    executable(&root.join("sbin/init"), INIT)?;
    with_libraries(agent, root, "usr/bin/sealpod-guest")?;
    // Stands in for the kubelet: a program of that name with a kubelet's arguments.
    with_libraries(Path::new("/bin/dash"), root, "usr/bin/kubelet")?;
    for (path, mode, content) in FILES {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
    }
    fs::write(root.join("etc/sealpod/request.json"), serde_json::to_vec(request)?)?;
    succeed(Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(root).arg(disk).arg(SIZE), SHORT)?;
    Ok(())
}

/// Writes a program.
pub fn executable(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// A program and the libraries that it is linked with, those of this machine; and the one that the TPM library opens itself.
fn with_libraries(program: &Path, root: &Path, to: &str) -> Result<()> {
    fs::copy(program, root.join(to)).with_context(|| format!("no {}", program.display()))?;
    let listed = succeed(Command::new("ldd").arg(program), SHORT)?;
    let device = "/usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0";
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/')).chain([device]);
    for library in libraries {
        let target = root.join(library.trim_start_matches('/'));
        if !target.exists() {
            fs::create_dir_all(target.parent().unwrap_or(root))?;
            fs::copy(library, target).with_context(|| format!("no {library}"))?;
        }
    }
    Ok(())
}
