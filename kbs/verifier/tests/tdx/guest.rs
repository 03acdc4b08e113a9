//! Steps 9 to 15: what the guest says, without a TPM and with one that nobody vouches for.

use crate::world::World;
use sealpod_evidence::cel;
use sealpod_testkit::logs::{ImaEntry, workload};
use sealpod_testkit::tdx::{CcelEvent, TdxBundle, TdxSealed};
use sealpod_testkit::tpm::{Digests, Pcrs};
use sealpod_verifier::{AppraisalPolicy, BindingLevel, Check};

#[test]
fn a_guest_without_a_tpm_is_taken_only_where_the_owner_says_so() {
    let mut world = World::valid();
    assert_eq!(world.accepted().binding_level(), BindingLevel::GuestKernel);
    world.policy = AppraisalPolicy::default();
    world.refused(Check::BindingLevel);
}

#[test]
fn a_tpm_of_a_td_is_the_hosts() {
    let mut world = World::of(TdxBundle { tpm: true, ..TdxBundle::valid() });
    world.refused(Check::BindingLevel);
    world.policy.minimum_binding_level = BindingLevel::Host;
    world.refused(Check::BindingLevel);
    world.policy.dangerous_accept_host_vtpm = true;
    let result = world.accepted();
    assert_eq!(result.binding_level(), BindingLevel::Host);
    assert_eq!(result.trust_vector().instance_identity, Some(97));
}

/// The valid pod with a TPM, after `spoil`.
fn with_tpm(spoil: impl FnOnce(&mut TdxBundle)) -> World {
    let mut world = World::made(|bundle| {
        bundle.tpm = true;
        spoil(bundle);
    });
    world.policy.minimum_binding_level = BindingLevel::Host;
    world.policy.dangerous_accept_host_vtpm = true;
    world
}

#[test]
fn with_a_tpm_everything_is_held_against_its_quote() {
    with_tpm(|_| {}).accepted();
    with_tpm(|bundle| bundle.pod.nonce = "b3RoZXI=".to_owned()).accepted();
    let foreign = TdxBundle::foreign_file();
    with_tpm(|bundle| bundle.pod.ima_log.entries.push(foreign)).refused(Check::ForeignFile);
    with_tpm(|bundle| bundle.pod.quoted_pcrs.truncate(11)).refused(Check::PcrValues);
    let mut world = with_tpm(|_| {});
    world.challenge.credential_key = sealpod_verifier::CredentialKey::new(&[8; 32]);
    world.refused(Check::Credential);
    // The agent extends one or the other.
    let mut bundle = TdxBundle { tpm: true, ..TdxBundle::valid() };
    bundle.ccel.0.push(CcelEvent { register: 4, event_type: 6, data: b"more".to_vec() });
    let mut world = World::of(bundle);
    world.policy = with_tpm(|_| {}).policy;
    world.refused(Check::BootLogReplay);
}

#[test]
fn the_boot_log_replays_to_the_registers() {
    let event = || CcelEvent { register: 2, event_type: 6, data: b"more".to_vec() };
    World::changed(|bundle| bundle.ccel.0.push(event())).refused(Check::LaunchDigest);
    World::made(|bundle| bundle.ccel.0.push(event())).accepted();
    let ccel = |spoil: fn(&mut Vec<u8>)| World::spoiled(|sealed| spoil(&mut sealed.ccel));
    ccel(|ccel| ccel[100] ^= 1).refused(Check::BootLogReplay);
    ccel(|ccel| ccel.clear()).refused(Check::BootLogSyntax);
    ccel(|ccel| ccel.push(0)).refused(Check::BootLogSyntax);
    // RTMR3 is the agent's.
    World::made(|bundle| bundle.ccel.0.push(CcelEvent { register: 4, ..event() }))
        .refused(Check::BootLogReplay);
}

#[test]
fn secure_boots_phases_can_be_told_apart() {
    let authority = || CcelEvent { register: 1, event_type: 0x8000_00e0, data: b"db".to_vec() };
    World::made(|bundle| bundle.ccel.0.push(authority())).accepted();
    World::made(|bundle| {
        bundle.ccel.0.push(CcelEvent { register: 1, event_type: 4, data: vec![0; 4] });
        bundle.ccel.0.push(authority());
    })
    .refused(Check::BootSeparatorTwice);
}

fn rebound(spoil: impl FnOnce(&mut TdxSealed)) -> World {
    World::spoiled(|sealed| {
        spoil(sealed);
        sealed.rebind();
    })
}

#[test]
fn the_ima_log_is_of_a_kernel_without_a_tpm() {
    let entries = |entries: Vec<ImaEntry>| {
        rebound(|sealed| {
            let bytes = entries.iter().flat_map(|entry| entry.to_bytes(sealpod_testkit::logs::Bank::Sha256));
            sealed.logs().ima_log.data.0 = bytes.collect();
        })
    };
    let aggregate = ImaEntry::boot_aggregate(&Pcrs::default());
    let none = ImaEntry { digest: [0; 32], ..aggregate.clone() };
    entries(vec![none.clone()]).accepted();
    // A TPM that would contradict the log is kept back.
    entries(vec![aggregate]).refused(Check::BootAggregate);
    entries(vec![]).refused(Check::BootAggregate);
    entries(vec![ImaEntry::file("/usr/bin/crun", [0; 32])]).refused(Check::BootAggregate);
    let lie = ImaEntry { digests: Some(Digests::filled(5)), ..none.clone() };
    entries(vec![lie]).refused(Check::ImaTemplateDigest);
    entries(vec![none.clone(), ImaEntry { pcr: 11, ..none.clone() }]).refused(Check::ImaReplay);
    entries(vec![none, ImaEntry::violation("/bin/app")]).refused(Check::ImaViolation);
    rebound(|sealed| sealed.logs().ima_log.data.0.push(0)).refused(Check::ImaLogSyntax);
    rebound(|sealed| sealed.logs().ima_log.first_index = 1).refused(Check::ImaLogStart);
}

#[test]
fn every_file_of_the_log_is_one_of_the_images() {
    let foreign = TdxBundle::foreign_file();
    let error = World::made(|bundle| bundle.ima_log.entries.push(foreign)).refused(Check::ForeignFile);
    assert!(error.found.contains("/tmp/foreign"), "{error}");
    let mut world = World::valid();
    world.reference.files.clear();
    world.refused(Check::FileReference);
}

#[test]
fn the_workload_log_replays_to_rtmr3() {
    rebound(|sealed| sealed.logs().workload_log.0.clear()).refused(Check::WorkloadReplay);
    World::spoiled(|sealed| {
        sealed.quote.td.rtmr[3][0] ^= 1;
        sealed.resign();
    })
    .refused(Check::WorkloadReplay);
    rebound(|sealed| {
        let mut records = cel::parse(&sealed.logs().workload_log.0).unwrap();
        records[0].sha256[0] ^= 1;
        sealed.logs().workload_log.0 = cel::encode(&records);
    })
    .refused(Check::WorkloadReplay);
    rebound(|sealed| {
        let mut records = cel::parse(&sealed.logs().workload_log.0).unwrap();
        records[0].pcr = 12;
        sealed.logs().workload_log.0 = cel::encode(&records);
    })
    .refused(Check::WorkloadReplay);
    rebound(|sealed| sealed.logs().workload_log.0.push(1)).refused(Check::WorkloadLogSyntax);
}

#[test]
fn only_what_initdata_allows_was_started() {
    World::made(|bundle| {
        let mut spec = bundle.pod.policy.containers[0].spec.clone();
        spec.args.push("--more".to_owned());
        bundle.workload = workload::records(&[spec]);
    })
    .refused(Check::WorkloadNotAllowed);
    World::made(|bundle| bundle.workload.clear()).accepted();
}
