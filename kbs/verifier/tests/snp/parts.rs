//! Step 1.

use crate::world::World;
use sealpod_evidence::bytes::Base64;
use sealpod_testkit::{Bundle, Sealed};
use sealpod_verifier::{Check, MAX_ADDITIONAL_LEN, MAX_BODY_LEN, parse_body};
use serde_json::{Value, json};

#[track_caller]
fn additional(spoil: impl FnOnce(&mut Sealed), check: Check) {
    World::spoiled(|sealed| {
        spoil(sealed);
        sealed.rebind();
    })
    .refused(check);
}

#[track_caller]
fn text(spoil: impl FnOnce(&str) -> String, check: Check) -> String {
    let world = World::spoiled(|sealed| {
        sealed.additional_text = spoil(&sealed.additional_text);
        sealed.rebind_text();
    });
    world.refused(check).found
}

#[test]
fn every_part_has_a_budget() {
    let over = |kib: usize| Base64(vec![0; (kib << 10) + 1]);
    additional(|s| s.additional.tpm.boot_log = over(128), Check::Budget);
    additional(|s| s.additional.tpm.ima_log.data = over(8 << 10), Check::Budget);
    additional(|s| s.additional.tpm.workload_log = over(256), Check::Budget);
    additional(|s| s.additional.tpm.activated_credential = Base64(vec![0; 65]), Check::Budget);
    additional(|s| s.additional.tpm.ek_public = over(4), Check::Budget);
    additional(|s| s.additional.tpm.svsm.as_mut().unwrap().manifest = over(8), Check::Budget);
    text(|_| " ".repeat(MAX_ADDITIONAL_LEN + 1), Check::Budget);
    World::spoiled(|s| s.certificates = over(64).0).refused(Check::Budget);
    World::spoiled(|s| s.initdata = Some("#".repeat((256 << 10) + 1))).refused(Check::Budget);
}

#[test]
fn the_primary_evidence_is_a_report_and_a_table_and_nothing_else() {
    let mut world = World::valid();
    for value in
        [json!(null), json!({}), json!({"report": "", "certificates": "", "more": ""}), json!("AAAA")]
    {
        world.attestation.tee_evidence.primary_evidence = value;
        world.refused(Check::PrimaryEvidence);
    }
    // The same two texts, without their names.
    let mut world = World::valid();
    let sent = &mut world.attestation.tee_evidence.primary_evidence;
    *sent = json!([sent["report"], sent["certificates"]]);
    world.refused(Check::PrimaryEvidence);
    World::spoiled(|s| s.report_bytes.truncate(1183)).refused(Check::PrimaryEvidence);
    World::spoiled(|s| s.report_bytes.push(0)).refused(Check::PrimaryEvidence);
    World::spoiled(|s| {
        s.report.cpuid = [0x17, 0, 0];
        s.resign();
    })
    .refused(Check::PrimaryEvidence);
}

#[test]
fn versions_that_are_not_known_are_refused() {
    for version in [1, 6] {
        World::spoiled(|s| {
            s.report.version = version;
            s.resign();
        })
        .refused(Check::EvidenceVersion);
    }
    additional(|s| s.additional.tpm.version = 2, Check::EvidenceVersion);
}

#[test]
fn a_certificate_table_that_does_not_parse_is_refused() {
    World::spoiled(|s| s.certificates.truncate(30)).refused(Check::CertificateTable);
    World::spoiled(|s| s.certificates.push(1)).refused(Check::CertificateTable);
}

#[test]
fn additional_evidence_is_there_once_and_whole() {
    assert_eq!(text(|_| String::new(), Check::AdditionalEvidence), "none");
    text(|_| "{}".to_owned(), Check::AdditionalEvidence);
    text(|good| format!("{good} x"), Check::AdditionalEvidence);
    text(|good| good.replacen("{\"tpm\"", "{\"more\":1,\"tpm\"", 1), Check::AdditionalEvidence);
    text(|good| good.replacen("\"version\":1", "\"version\":1,\"more\":1", 1), Check::AdditionalEvidence);
    text(|good| good.replacen("\"version\":1,", "", 1), Check::AdditionalEvidence);
    let found = text(
        |good| good.replacen("\"version\":1", "\"version\":1,\"version\":1", 1),
        Check::AdditionalEvidence,
    );
    assert!(found.contains("twice"), "{found}");
}

#[test]
fn no_part_of_the_additional_evidence_is_an_array() {
    let without_names = |path: &[&str], fields: &[&str]| {
        let path: Vec<_> = path.iter().map(|name| (*name).to_owned()).collect();
        let fields: Vec<_> = fields.iter().map(|name| (*name).to_owned()).collect();
        move |good: &str| {
            let mut value: Value = serde_json::from_str(good).unwrap();
            let part = path.iter().fold(&mut value, |value, name| &mut value[name]);
            *part = fields.iter().map(|name| part[name].clone()).collect();
            value.to_string()
        }
    };
    for (path, fields) in [(&[][..], &["tpm"][..]), (&["tpm", "quote"], &["message", "signature"])] {
        let found = text(without_names(path, fields), Check::AdditionalEvidence);
        assert!(found.contains("array") || found.contains("sequence"), "{found}");
    }
}

#[test]
fn keys_and_values_have_a_budget() {
    let many: String = (0..2000).map(|key| format!("\"{key}\":0,")).collect();
    text(|good| good.replacen('{', &format!("{{{many}"), 1), Check::Budget);
    let deep = format!("{{\"a\":{}0{}}}", "{\"a\":".repeat(20), "}".repeat(20));
    text(|_| deep, Check::Budget);
}

/// What `/attest` gets of valid evidence.
fn body() -> String {
    serde_json::to_string(&World::valid().attestation).unwrap()
}

#[track_caller]
fn refused_body(body: &str, check: Check) -> String {
    match parse_body(body.as_bytes()) {
        Ok(_) => panic!("accepted, expected a refusal by {}", check.name()),
        Err(error) => {
            assert_eq!(error.check, check, "{error}");
            error.found
        }
    }
}

#[test]
fn a_body_is_read_as_it_was_written() {
    let mut world = World::valid();
    world.attestation = parse_body(body().as_bytes()).unwrap();
    world.accepted();
    // Unknown members of the frame are the protocol's to add.
    assert!(parse_body(body().replacen('{', "{\"more\":{\"x\":1},", 1).as_bytes()).is_ok());
}

#[test]
fn a_body_is_one_object_without_arrays_and_without_a_key_twice() {
    let good = body();
    for name in ["nonce", "tee-pubkey", "crv", "kty", "report", "primary_evidence", "tee-evidence"] {
        let key = format!("\"{name}\":");
        let found = refused_body(&good.replacen(&key, &format!("{key}\"x\",{key}"), 1), Check::Body);
        assert!(found.contains("twice"), "{name}: {found}");
    }
    let value: Value = serde_json::from_str(&good).unwrap();
    let mut primary = value.clone();
    primary["tee-evidence"]["primary_evidence"] = json!(["AAAA", "AAAA"]);
    refused_body(&primary.to_string(), Check::Body);
    let whole = json!([value["init-data"], value["runtime-data"], value["tee-evidence"]]);
    refused_body(&whole.to_string(), Check::Body);
    for bad in
        [String::new(), "null".into(), "{}".into(), format!("{good} {{}}"), good[..good.len() - 1].into()]
    {
        refused_body(&bad, Check::Body);
    }
}

#[test]
fn a_body_that_would_cost_a_multiple_of_its_length_is_not_built() {
    let value: Value = serde_json::from_str(&body()).unwrap();
    let around = |primary: String| {
        format!(
            "{{\"init-data\":null,\"runtime-data\":{},\"tee-evidence\":{{\"additional_evidence\":\"\",\"primary_evidence\":{primary}}}}}",
            value["runtime-data"]
        )
    };
    refused_body(&around(format!("[{}0]", "{\"\":0},".repeat(400_000))), Check::Body);
    let entries: String = (0..400_000).map(|key| format!("\"{key:x}\":0,")).collect();
    refused_body(&around(format!("{{{entries}\"z\":0}}")), Check::Budget);
    refused_body(&around(format!("{}0{}", "{\"\":".repeat(100_000), "}".repeat(100_000))), Check::Budget);
    refused_body(&" ".repeat(MAX_BODY_LEN + 1), Check::Budget);
}

#[test]
fn a_pcr_may_not_be_given_twice() {
    let zeros = "0".repeat(64);
    let twice = format!("\"sha256\":{{\"0\":\"{zeros}\",");
    let found = text(|good| good.replacen("\"sha256\":{", &twice, 1), Check::AdditionalEvidence);
    assert!(found.contains("twice"), "{found}");
}

#[test]
fn tpm_structures_parse_to_the_last_byte() {
    additional(|s| s.additional.tpm.ek_public.0.push(0), Check::TpmStructure);
    additional(|s| s.additional.tpm.ak_public.0.truncate(7), Check::TpmStructure);
    additional(|s| s.additional.tpm.quote.signature.0.push(0), Check::TpmStructure);
    additional(|s| s.additional.tpm.quote.message.0.push(0), Check::TpmStructure);
}

#[test]
fn pcr_values_are_exactly_those_quoted() {
    fn bank(sealed: &mut Sealed) -> &mut std::collections::BTreeMap<u8, String> {
        sealed.additional.tpm.pcrs.get_mut("sha256").unwrap()
    }
    additional(|s| drop(bank(s).remove(&13)), Check::PcrValues);
    additional(|s| drop(bank(s).insert(11, "00".repeat(32))), Check::PcrValues);
    additional(|s| drop(bank(s).insert(0, "00".repeat(31))), Check::PcrValues);
    additional(|s| drop(bank(s).insert(0, "AA".repeat(32))), Check::PcrValues);
    additional(|s| drop(s.additional.tpm.pcrs.insert("sha1".into(), Default::default())), Check::PcrValues);
    additional(|s| s.additional.tpm.pcrs.clear(), Check::PcrValues);
}

#[test]
fn the_ima_log_starts_at_its_first_entry_in_a_known_bank() {
    additional(|s| s.additional.tpm.ima_log.first_index = 1, Check::ImaLogStart);
    additional(|s| s.additional.tpm.ima_log.bank = "sm3_256".into(), Check::ImaLogSyntax);
}

#[test]
fn a_workload_log_that_does_not_parse_is_refused() {
    additional(|s| s.additional.tpm.workload_log.0.push(0), Check::WorkloadLogSyntax);
}

#[test]
fn initdata_is_sent_as_toml() {
    World::spoiled(|s| s.initdata = None).refused(Check::InitdataSyntax);
    World::spoiled(|s| s.initdata = Some("version = 1".into())).refused(Check::InitdataSyntax);
    let mut world = World::of(Bundle::valid());
    world.attestation.init_data.as_mut().unwrap().format = "json".into();
    world.refused(Check::InitdataSyntax);
}

#[test]
fn a_malformed_svsm_report_is_refused() {
    additional(|s| s.additional.tpm.svsm.as_mut().unwrap().report.0.truncate(100), Check::SvsmReport);
}
