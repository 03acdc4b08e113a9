//! How many handshakes and releases a second one broker does on this machine's cores, with the load beside it.

use crate::bench::load::{Connection, Load, resident_mebibytes, run, tls_config};
use crate::bench::ready_pod::ReadyPod;
use crate::bench::table::{Goal, Row};
use crate::broker::Broker;
use crate::process::Programs;
use anyhow::{Context as _, Result};
use sealpod_testkit::Bundle;
use sealpod_testkit::bundle::RESOURCE;
use sealpod_testkit::tpm::Tpm;
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
    let mut pod = ReadyPod::new(&bundle)?;
    let guests = open()?.into_iter().map(|c| (c, pod.clone())).collect();
    let handshakes = run(broker.pid(), guests, HANDSHAKES, |(c, pod)| c.handshake(pod))?;
    let mut attested = open()?;
    attested.iter_mut().try_for_each(|c| c.handshake(&mut pod))?;
    let releases = run(broker.pid(), attested, RELEASES, |c| {
        c.request("GET", &format!("resource/{}", RESOURCE), b"").map(drop)
    })?;
    let peak = resident_mebibytes(broker.pid())?;

    let mut rows = Vec::new();
    rows.extend(both("`/auth`", challenges, None, "Trustee 0.21: 30,000/s"));
    rows.extend(both(
        "combined handshakes (`/auth` + `/attest`, new signatures each)",
        handshakes,
        Some(1_500.0),
        "Trustee 0.21, sample evidence: 865/s",
    ));
    rows.extend(both("attested `/resource`", releases, Some(10_000.0), "Trustee 0.21: 2,200/s"));
    rows.push(Row {
        what: "broker: resident memory, idle".to_owned(),
        figures: format!("{peak:.0} MiB after the load; Trustee 0.21: 24 MiB idle"),
        value: idle,
        unit: " MiB",
        goal: Goal::AtMost(24.0),
    });
    Ok(rows)
}

/// One load as two rows: what was seen with load and broker on the same cores, and what the cores could do for the broker alone.
fn both(what: &str, load: Load, goal: Option<f64>, peer: &str) -> [Row; 2] {
    let (broker, own) = load.milliseconds_each();
    let row = |how: &str, value, figures| Row {
        what: format!("broker: {what}, {how}"),
        figures,
        value,
        unit: "/s",
        goal: goal.map_or(Goal::None, Goal::AtLeast),
    };
    let shared = format!("processor time for each: broker {broker:.2} ms, load {own:.2} ms; {peer}");
    [
        row("load and broker on the same two cores", load.per_second(), shared),
        row(
            "two cores for the broker alone",
            load.broker_capacity(),
            "from the broker's processor time".to_owned(),
        ),
    ]
}

/// Tell the broker of one valid pod, whose endorsement key is on P-256: with the RSA key that guests have, opening the
/// credential would be a quarter of all work, and the load's.
fn prepare(broker: &Broker, directory: &std::path::Path) -> Result<Bundle> {
    let bundle = Bundle { tpm: Tpm::with_ecc_ek(), ..Bundle::valid() };
    let reference = directory.join("reference.json");
    std::fs::write(&reference, serde_json::to_vec(&bundle.reference())?)?;
    let secret = directory.join("secret");
    std::fs::write(&secret, crate::world::SECRET)?;
    let path = |p: &std::path::Path| p.to_str().map(str::to_owned).context("path is not UTF-8");
    broker.admin(&["reference", "add", &path(&reference)?])?;
    broker.admin(&["secret", "set", RESOURCE, "--file", &path(&secret)?])?;
    Ok(bundle)
}
