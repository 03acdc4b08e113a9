//! Step 15.

use crate::support::{accepted, refused, refused_spoiled, valid};
use sealpod_evidence::cel::Record;
use sealpod_evidence::workload::ContainerSpec;
use sealpod_testkit::Bundle;
use sealpod_testkit::hash::sha256;
use sealpod_testkit::logs::workload::records;
use sealpod_testkit::tpm::Digests;
use sealpod_verifier::Check;

fn spec() -> ContainerSpec {
    valid().policy.containers[0].spec.clone()
}

fn with(workload: Vec<Record>) -> Bundle {
    Bundle { workload, ..valid() }
}

#[test]
fn a_container_may_start_again_or_not_yet() {
    accepted(&with(records(&[spec(), spec()])));
    accepted(&with(Vec::new()));
}

#[test]
fn a_container_that_initdata_does_not_allow_is_refused() {
    let mut other = spec();
    other.env.push("LD_PRELOAD=/evil.so".to_owned());
    let error = refused(&with(records(&[spec(), other])), Check::WorkloadNotAllowed);
    assert!(error.found.contains("LD_PRELOAD"), "{error}");
}

#[test]
fn a_log_that_does_not_replay_is_refused() {
    let mut sealed = valid().seal();
    sealed.tpm.pcrs.extend(13, &Digests::of(b"started, not logged"));
    sealed.requote();
    refused_spoiled(&sealed, Check::WorkloadReplay);

    let mut sealed = valid().seal();
    sealed.additional.tpm.workload_log.0.clear();
    sealed.rebind();
    refused_spoiled(&sealed, Check::WorkloadReplay);
}

#[test]
fn a_record_in_another_pcr_or_with_another_digest_is_refused() {
    let mut moved = records(&[spec()]);
    moved[0].pcr = 14;
    refused(&with(moved), Check::WorkloadReplay);

    let mut exchanged = records(&[spec()]);
    exchanged[0].sha256 = sha256(b"what was really started");
    refused(&with(exchanged), Check::WorkloadReplay);
}

#[test]
fn content_in_another_form_or_of_another_kind_is_refused() {
    let with_content = |content: Vec<u8>| {
        let mut workload = records(&[spec()]);
        workload[0].sha256 = sha256(&content);
        workload[0].content = content;
        with(workload)
    };
    let canonical = records(&[spec()])[0].content.clone();
    let spaced = [b" ".as_slice(), &canonical].concat();
    refused(&with_content(spaced), Check::WorkloadLogSyntax);
    refused(&with_content(b"{\"type\":\"pod\"}".to_vec()), Check::WorkloadLogSyntax);
}

#[test]
fn a_log_that_does_not_parse_is_refused() {
    let mut sealed = valid().seal();
    sealed.additional.tpm.workload_log.0.push(0);
    sealed.rebind();
    refused_spoiled(&sealed, Check::WorkloadLogSyntax);
}
