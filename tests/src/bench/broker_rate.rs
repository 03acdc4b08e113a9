//! How many handshakes and releases a second one broker does on this machine's cores, with the load beside it.

use crate::bench::load::{Connection, resident_mebibytes, run, tls_config};
use crate::bench::table::{Goal, Row};
use crate::broker::Broker;
use crate::process::Programs;
use anyhow::{Context as _, Result};
use sealpod_testkit::Bundle;
use sealpod_testkit::bundle::RESOURCE;
use serde_json::json;

const THREADS: usize = 4;
const HANDSHAKES: usize = 500;
const RELEASES: usize = 5_000;
const CHALLENGES: usize = 5_000;

/// The rows about the broker.
pub fn rows(programs: &Programs) -> Result<Vec<Row>> {
    let directory = tempfile::Builder::new().prefix("sealpod-bench-").tempdir()?;
    let broker = Broker::start(programs, directory.path())?;
    let idle = resident_mebibytes(broker.pid())?;
    let bundle = prepare(&broker, directory.path())?;
    let tls = tls_config(&broker.ca())?;
    let open = || -> Result<Vec<Connection>> {
        (0..THREADS).map(|_| Connection::open(broker.address(), tls.clone())).collect()
    };

    let challenge = serde_json::to_vec(&json!({ "version": "0.4.0", "tee": "snp", "extra-params": "" }))?;
    let challenges =
        run(broker.pid(), open()?, CHALLENGES, |c| c.request("POST", "auth", &challenge).map(drop))?;
    let handshakes = run(broker.pid(), open()?, HANDSHAKES, |c| c.handshake(&bundle))?;
    let mut attested = open()?;
    attested.iter_mut().try_for_each(|c| c.handshake(&bundle))?;
    let releases = run(broker.pid(), attested, RELEASES, |c| {
        c.request("GET", &format!("resource/{}", RESOURCE), b"").map(drop)
    })?;
    let peak = resident_mebibytes(broker.pid())?;

    let row = |what: &str, load: crate::bench::load::Load, goal: Goal, peer: &str| Row {
        what: what.to_owned(),
        figures: format!(
            "{:.0}/s with the load on the same two cores; two cores of broker time are worth {:.0}/s; {peer}",
            load.per_second(),
            load.broker_capacity()
        ),
        value: load.broker_capacity(),
        unit: "/s",
        goal,
    };
    Ok(vec![
        row("broker: `/auth`", challenges, Goal::None, "Trustee 0.21: 30,000/s"),
        row(
            "broker: combined handshakes (`/auth` + `/attest`, new signatures each)",
            handshakes,
            Goal::AtLeast(1_500.0),
            "Trustee 0.21, sample evidence: 865/s",
        ),
        row("broker: attested `/resource`", releases, Goal::AtLeast(10_000.0), "Trustee 0.21: 2,200/s"),
        Row {
            what: "broker: resident memory, idle".to_owned(),
            figures: format!("{peak:.0} MiB after the load; Trustee 0.21: 24 MiB idle"),
            value: idle,
            unit: " MiB",
            goal: Goal::AtMost(24.0),
        },
    ])
}

/// Tell the broker of one valid pod. Its RSA endorsement key is what guests have; opening a credential with it is the
/// dearest part of the load.
fn prepare(broker: &Broker, directory: &std::path::Path) -> Result<Bundle> {
    let bundle = Bundle::valid();
    let reference = directory.join("reference.json");
    std::fs::write(&reference, serde_json::to_vec(&bundle.reference())?)?;
    let secret = directory.join("secret");
    std::fs::write(&secret, crate::world::SECRET)?;
    let path = |p: &std::path::Path| p.to_str().map(str::to_owned).context("path is not UTF-8");
    broker.admin(&["reference", "add", &path(&reference)?])?;
    broker.admin(&["secret", "set", RESOURCE, "--file", &path(&secret)?])?;
    Ok(bundle)
}
