//! The compliance demo, asserted: enrol, report, break, report, mend, report, audit.

#[test]
fn a_worker_is_reported_on_broken_mended_and_audited() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    let mut failures = Vec::new();
    let mut acts = 0;
    sealpod_tests::compliance::play(&page, &mut |phase| eprintln!("{phase}"), &mut |number, scene| {
        acts += 1;
        if !scene.passed {
            failures.push(format!("act {number}: {scene:#?}"));
        }
    })
    .unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(acts, 6);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("100.0") && html.contains("worker-1"), "the page is that of the last report");
}
