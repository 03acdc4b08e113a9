use super::*;
use crate::ear::tests::{affirmed, example};
use sealpod_verifier::{BindingLevel, TrustVector};

fn claims(vector: &TrustVector, level: BindingLevel) -> Value {
    with_secret(vector, level, "a/b/c")
}

/// The claims of a pod whose one container names one secret.
fn with_secret(vector: &TrustVector, level: BindingLevel, resource: &str) -> Value {
    let mut claims = example(vector, level, &json!({}));
    claims["submods"]["cpu0"]["ear.veraison.annotated-evidence"]["containers"] =
        json!([{"secrets": [{"resource": resource}]}]);
    Value::from_json_str(&claims.to_string()).unwrap()
}

fn allows(policy: &Policy, claims: &Value, path: &str) -> bool {
    policy.allows(claims, &path.parse().unwrap(), &[]).unwrap()
}

fn compile(text: &str) -> Policy {
    Policy::compile(text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_shipped_policy_wants_every_claim_affirmed_and_a_vouched_for_vtpm() {
    let policy = compile(DEFAULT_POLICY);
    assert!(allows(&policy, &claims(&affirmed(), BindingLevel::Svsm), "a/b/c"));
    assert!(allows(&policy, &claims(&affirmed(), BindingLevel::Paravisor), "a/b/c"));
    assert!(!allows(&policy, &claims(&affirmed(), BindingLevel::GuestKernel), "a/b/c"));
    assert!(!allows(&policy, &claims(&affirmed(), BindingLevel::Host), "a/b/c"));
    for value in [0, 1, 32, 96, -1] {
        let vector = TrustVector { file_system: Some(value), ..affirmed() };
        assert!(!allows(&policy, &claims(&vector, BindingLevel::Svsm), "a/b/c"), "{value}");
    }
    assert!(!allows(&policy, &claims(&TrustVector::default(), BindingLevel::Svsm), "a/b/c"));
    assert!(!allows(&policy, &Value::new_object(), "a/b/c"));
}

#[test]
fn the_shipped_policy_gives_a_pod_only_the_secrets_that_its_containers_name() {
    let policy = compile(DEFAULT_POLICY);
    let of = |resource: &str| with_secret(&affirmed(), BindingLevel::Svsm, resource);
    assert!(allows(&policy, &of("a/b/c"), "a/b/c"));
    assert!(!allows(&policy, &of("a/b/c"), "a/b/d"));
    assert!(!allows(&policy, &of("a/b"), "a/b/c"));
    let none = example(&affirmed(), BindingLevel::Svsm, &json!({}));
    assert!(!allows(&policy, &Value::from_json_str(&none.to_string()).unwrap(), "a/b/c"));
}

#[test]
fn each_resource_is_judged_for_itself() {
    let policy = compile(
        "package policy\nimport rego.v1\ndefault allow := false\nallow if data[\"resource-path\"] == [\"a\", \"b\", \"c\"]",
    );
    for _ in 0..2 {
        assert!(allows(&policy, &Value::new_object(), "a/b/c"));
        assert!(!allows(&policy, &Value::new_object(), "a/b/d"));
    }
    for index in 0..2 * MAX_PREPARED {
        assert!(!allows(&policy, &Value::new_object(), &format!("a/b/{index}")));
    }
}

#[test]
fn the_next_policy_is_asked_at_once() {
    let (yes, no) = (compile("package policy\nallow := true"), compile("package policy\nallow := false"));
    for _ in 0..2 {
        assert!(allows(&yes, &Value::new_object(), "a/b/c"));
        assert!(!allows(&no, &Value::new_object(), "a/b/c"));
    }
}

#[test]
fn the_query_reaches_the_policy_and_is_not_kept() {
    let policy =
        compile("package policy\nimport rego.v1\ndefault allow := false\nallow if data.query.v == \"1\"");
    let path = "a/b/c".parse().unwrap();
    let query = [("v".to_owned(), "1".to_owned())];
    assert_eq!(policy.allows(&Value::new_object(), &path, &query), Ok(true));
    assert_eq!(policy.allows(&Value::new_object(), &path, &[]), Ok(false));
}

#[test]
fn policies_written_for_rego_v0_load() {
    let policy = compile("package policy\ndefault allow = false\nallow { input.x == 1 }");
    assert!(allows(&policy, &Value::from_json_str("{\"x\": 1}").unwrap(), "a/b/c"));
    assert!(!allows(&policy, &Value::new_object(), "a/b/c"));
}

#[test]
fn only_true_is_a_yes() {
    for value in ["false", "1", "\"true\"", "[true]", "{true}"] {
        let policy = compile(&format!("package policy\nallow := {value}"));
        assert!(!allows(&policy, &Value::new_object(), "a/b/c"), "{value}");
    }
    let undefined = compile("package policy\nimport rego.v1\nallow if input.absent");
    assert!(!allows(&undefined, &Value::new_object(), "a/b/c"));
}

#[test]
fn a_question_without_end_is_refused_in_time() {
    let policy = compile(
        "package policy\nimport rego.v1\nn := numbers.range(1, input.n)\n\
         allow if { some i in n; some j in n; some k in n; i + j + k < 0 }",
    );
    let refused =
        policy.allows(&Value::from_json_str("{\"n\": 10000}").unwrap(), &"a/b/c".parse().unwrap(), &[]);
    let Err(PolicyError::Evaluation(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("execution exceeded time limit"), "{why}");
    // The same engine is asked again, and answers.
    assert!(!allows(&policy, &Value::from_json_str("{\"n\": 1}").unwrap(), "a/b/c"));
}

#[test]
fn a_function_that_calls_itself_is_refused() {
    for body in [
        "f(x) := f(x)",
        "f(x) := data.policy.f(x)",
        "f(x) := data.policy[\"f\"](x)",
        "f(x) := y if { y := {z | some z in [f(x)]} }",
        "f(x) := g(x)\ng(x) := 1 if { x == 2 } else := f(x)",
        "import data.policy.f as g\nf(x) := g(x)",
    ] {
        let text = format!("package policy\nimport rego.v1\n{body}\nallow if f(input.x)");
        let refused = Policy::compile(&text).err();
        let Some(PolicyError::Unbounded(why)) = refused else { panic!("{body}: {refused:?}") };
        assert!(why.contains("calls itself"), "{why}");
    }
    compile("package policy\nimport rego.v1\ng(x) := x.g\nf(x) := g(x) == \"f\"\nallow if f(input.f)");
}

#[test]
fn a_chain_of_rules_is_bounded_and_the_longest_fits_the_stack() {
    let chain = |rules: usize| {
        let rules: Vec<_> = (1..rules - 1).map(|i| format!("r{i} := r{}", i - 1)).collect();
        format!("package policy\nr0 := true\n{}\nallow := r{}\n", rules.join("\n"), rules.len())
    };
    let asked = std::thread::Builder::new().stack_size(bounds::STACK);
    let asked = asked.spawn(move || allows(&compile(&chain(512)), &Value::new_object(), "a/b/c")).unwrap();
    assert!(asked.join().unwrap());
    let Some(PolicyError::Unbounded(why)) = Policy::compile(&chain(513)).err() else { panic!() };
    assert_eq!(why, "513 rules, at most 512 are accepted");
}

#[test]
fn a_policy_that_says_yes_to_everybody_is_told() {
    for text in ["default allow = true", "allow := true", "allow := input.x != 1\ndefault allow = true"] {
        assert!(compile(&format!("package policy\n{text}")).warning().is_some(), "{text}");
    }
    assert_eq!(compile(DEFAULT_POLICY).warning(), None);
}

#[test]
fn a_policy_that_cannot_be_asked_is_refused() {
    let refused = |text: &str| Policy::compile(text).err().unwrap();
    assert!(matches!(refused("package policy\nallow {"), PolicyError::Syntax(_)));
    assert!(matches!(refused("package other\nallow := true"), PolicyError::Rule(_)));
    assert!(matches!(refused("package policy\ndeny := true"), PolicyError::Rule(_)));
    assert!(matches!(refused(&" ".repeat(MAX_POLICY + 1)), PolicyError::Size { .. }));
}
