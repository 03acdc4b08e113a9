use super::*;

fn text_of(id: &str) -> Option<String> {
    builtin(id).map(str::to_owned)
}

fn load(id: &str) -> Profile {
    let text = builtin(id).unwrap();
    parse(text.as_bytes(), &text_of, &Tailoring::default()).unwrap_or_else(|mistakes| {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        panic!("{id}: {}", mistakes.join("\n"))
    })
}

#[test]
fn every_shipped_profile_is_without_mistakes() {
    for (id, _) in BUILTIN {
        assert_eq!(load(id).id, id);
    }
}

#[test]
fn the_kubernetes_profiles_have_the_benchmarks_items() {
    let items = |id| load(id).items.iter().map(|item| item.id.clone()).collect::<Vec<_>>();
    let l1 = items("cis-kubernetes-1.7.1-worker-l1");
    let expected: Vec<String> = (1..=10)
        .map(|n| format!("4.1.{n}"))
        .chain((1..=13).filter(|n| *n != 8).map(|n| format!("4.2.{n}")))
        .collect();
    assert_eq!(l1, expected);
    assert_eq!(items("cis-kubernetes-1.7.1-worker-l2").len(), 23);
    let roots = load("cis-kubernetes-1.7.1-worker-l1").roots();
    assert_eq!((roots[&Root::Ima], roots[&Root::ImaContent], roots[&Root::Agent]), (10, 12, 0));
}

#[test]
fn the_ubuntu_profiles_have_the_benchmarks_items_and_few_for_humans() {
    let l1 = load("cis-ubuntu-20.04-2.0.1-server-l1");
    assert_eq!(l1.items.len(), 228);
    assert!(l1.items.iter().all(|item| item.level == 1));
    let manual: Vec<&str> =
        l1.items.iter().filter(|item| item.root == Root::Manual).map(|item| item.id.as_str()).collect();
    assert_eq!(manual, ["1.3.1", "1.3.3"]);
    let l2 = load("cis-ubuntu-20.04-2.0.1-server-l2");
    assert_eq!((l2.items.len(), l2.items.iter().filter(|item| item.level == 2).count()), (285, 57));
}
