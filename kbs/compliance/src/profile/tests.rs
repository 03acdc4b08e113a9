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
