use super::*;
use crate::profile::{builtin, parse};
use serde_json::{Value, json};

fn pod_claims() -> Value {
    json!({
        "snp": {"policy_debug_allowed": false, "policy_migrate_ma": false, "measurement_description": "image 1"},
        "binding_level": "svsm",
        "ima": {"entries": 120, "uncovered": 0, "violations": 0},
        "containers": [{"image": "sha256:00"}],
        "boot": "image 1",
        "acpi_measured": true,
        "initdata": {"sha256": "00"},
    })
}

fn states(claims: Value) -> Vec<(String, State)> {
    let profile =
        parse(builtin("pod-baseline").unwrap().as_bytes(), &|_| None, &Tailoring::default()).unwrap();
    let appraised = Appraised::of_claims(claims, 100);
    evaluate(&appraised, &profile, 100).into_iter().map(|finding| (finding.item, finding.state)).collect()
}

#[test]
fn a_good_pod_passes_and_each_spoiled_claim_fails_its_item() {
    assert!(states(pod_claims()).iter().all(|(_, state)| *state == State::Pass));
    for (pointer, value, item) in [
        ("/snp/policy_debug_allowed", json!(true), "pod-1"),
        ("/binding_level", json!("host"), "pod-2"),
        ("/snp/measurement_description", json!(""), "pod-3"),
        ("/ima/violations", json!(1), "pod-4"),
        ("/ima/uncovered", json!(65), "pod-5"),
        ("/containers", json!([]), "pod-6"),
        ("/acpi_measured", json!(false), "pod-7"),
        ("/snp/policy_migrate_ma", json!(true), "pod-8"),
        ("/initdata/sha256", json!(""), "pod-9"),
    ] {
        let mut claims = pod_claims();
        *claims.pointer_mut(pointer).unwrap() = value;
        let failed: Vec<_> = states(claims).into_iter().filter(|(_, state)| *state != State::Pass).collect();
        assert_eq!(failed, [(item.to_owned(), State::Fail)], "{pointer}");
        let mut claims = pod_claims();
        *claims.pointer_mut(pointer).unwrap() = Value::Null;
        let failed: Vec<_> = states(claims).into_iter().filter(|(_, state)| *state != State::Pass).collect();
        assert_eq!(failed, [(item.to_owned(), State::Unknown)], "{pointer}: a missing claim");
    }
}

#[test]
fn each_platform_has_its_own_names_for_the_same_claims() {
    let tdx =
        json!({"td_attributes": {"debug": false, "migratable": false}, "measurement_description": "td"});
    for (name, claims) in
        [("tdx", tdx.clone()), ("az-tdx-vtpm", tdx), ("az-snp-vtpm", pod_claims()["snp"].clone())]
    {
        let mut all = pod_claims();
        all.as_object_mut().unwrap().remove("snp");
        all[name] = claims;
        assert!(states(all.clone()).iter().all(|(_, state)| *state == State::Pass), "{name}");
        if name.contains("tdx") {
            all[name]["td_attributes"]["debug"] = json!(true);
            let failed: Vec<_> = states(all).into_iter().filter(|(_, state)| *state != State::Pass).collect();
            assert_eq!(failed, [("pod-1".to_owned(), State::Fail)], "{name}");
        }
    }
}

#[test]
fn a_profile_for_nodes_says_nothing_of_a_pod() {
    let text_of = |id: &str| builtin(id).map(str::to_owned);
    let text = builtin("cis-kubernetes-1.7.1-worker-l1").unwrap();
    let profile = parse(text.as_bytes(), &text_of, &Tailoring::default()).unwrap();
    let findings = evaluate(&Appraised::of_claims(pod_claims(), 100), &profile, 100);
    let expected = Reason::OtherSubject { expected: "node".to_owned() };
    assert!(findings.iter().all(|finding| finding.reasons == [expected.clone()]));
}
