use super::*;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values::{InitdataReference, SnpMeasurement};
use std::collections::BTreeMap;

fn document() -> ReferenceDocument {
    ReferenceDocument { version: VERSION, description: "doc".into(), ..Default::default() }
}

fn tcb(bootloader: u8, tee: u8, snp: u8, microcode: u8) -> SnpTcb {
    SnpTcb { fmc: None, bootloader, tee, snp, microcode }
}

fn files(image: Option<ImageDigest>, path: &str, digest: u8) -> FileSet {
    let files = BTreeMap::from([(path.to_owned(), vec![HexArray([digest; 32])])]);
    FileSet { image, description: String::new(), files }
}

#[test]
fn lists_of_several_documents_add_up() {
    let (mut one, mut two) = (document(), document());
    let measurement = |byte, name: &str| SnpMeasurement {
        measurement: HexArray([byte; 48]),
        guest_vmpl: byte,
        description: name.into(),
    };
    one.snp_measurements.push(measurement(1, "one"));
    two.snp_measurements.push(measurement(2, "two"));
    two.initdata.push(InitdataReference { sha256: HexArray([3; 32]), description: "pod".into() });
    one.files.push(files(None, "/bin/a", 1));
    two.files.push(files(None, "/bin/a", 2));
    let values = ReferenceValues::from_documents(&[one, two]).unwrap();
    assert_eq!(values.is_measurement(&[1; 48]), Some("one"));
    assert_eq!(values.is_measurement(&[2; 48]), Some("two"));
    assert_eq!(values.is_measurement(&[3; 48]), None);
    assert_eq!(values.is_initdata(&[3; 32]), Some("pod"));
    assert_eq!(values.is_initdata(&[4; 32]), None);
    let guest = &values.guest_files().unwrap().index;
    assert!(guest.has("/bin/a", &HexArray([1; 32])) && guest.has("/bin/a", &HexArray([2; 32])));
    assert!(!guest.has("/bin/b", &HexArray([1; 32])));
}

#[test]
fn nothing_expected_is_nothing_accepted() {
    let values = ReferenceValues::from_documents(&[document()]).unwrap();
    assert!(values.boots().is_empty() && values.guest_files().is_none());
    assert_eq!(values.minimum_tcb(Product::Milan), None);
    assert_eq!(values.violations(), 0);
    assert!(!values.is_guest_program(b"/a"));
}

#[test]
fn of_two_minimum_tcbs_the_higher_of_each_component_counts() {
    let (mut one, mut two) = (document(), document());
    one.snp_minimum_tcb.insert("milan".into(), tcb(4, 0, 24, 100));
    two.snp_minimum_tcb.insert("milan".into(), tcb(3, 1, 22, 219));
    for order in [[one.clone(), two.clone()], [two, one]] {
        let values = ReferenceValues::from_documents(&order).unwrap();
        assert_eq!(values.minimum_tcb(Product::Milan), Some(&tcb(4, 1, 24, 219)));
        assert_eq!(values.minimum_tcb(Product::Genoa), None);
    }
}

#[test]
fn files_of_one_image_are_not_those_of_another() {
    let image = |byte| ImageDigest(HexArray([byte; 32]));
    let mut one = document();
    one.files = vec![files(Some(image(1)), "/bin/a", 1), files(Some(image(2)), "/bin/b", 2)];
    let values = ReferenceValues::from_documents(&[one]).unwrap();
    assert!(values.guest_files().is_none() && values.image_files(&image(3)).is_none());
    let first = &values.image_files(&image(1)).unwrap().index;
    assert!(first.has("/bin/a", &HexArray([1; 32])) && !first.has("/bin/b", &HexArray([2; 32])));
    assert_eq!(first.path_of(&HexArray([1; 32])), Some("/bin/a"));
}

#[test]
fn each_defect_has_its_own_error() {
    let refused = |change: &dyn Fn(&mut ReferenceDocument)| {
        let mut one = document();
        change(&mut one);
        ReferenceValues::from_documents(&[one]).unwrap_err()
    };
    let minimum = |product: &'static str, fmc| {
        move |document: &mut ReferenceDocument| {
            let tcb = SnpTcb { fmc, ..tcb(0, 0, 0, 0) };
            document.snp_minimum_tcb.insert(product.to_owned(), tcb);
        }
    };
    let error = refused(&|d| d.version = 2);
    assert!(matches!(error, ReferenceError::Version { expected: VERSION, found: 2, .. }));
    let error = refused(&minimum("rome", None));
    assert!(matches!(error, ReferenceError::Product { ref found, .. } if found == "rome"));
    let error = refused(&minimum("turin", None));
    assert!(matches!(error, ReferenceError::Fmc { product: Product::Turin, found: None, .. }));
    let error = refused(&minimum("milan", Some(1)));
    assert!(matches!(error, ReferenceError::Fmc { product: Product::Milan, found: Some(1), .. }));
    let error = refused(&|d| d.files.push(files(None, "bin/a", 1)));
    assert!(matches!(error, ReferenceError::Path { ref found, .. } if found == "bin/a"));
    let error = refused(&|d| {
        let events = BTreeMap::from([(10, vec![])]);
        d.boot.push(BootReference { description: String::new(), events, dangerous_unmeasured_acpi: false });
    });
    assert!(matches!(error, ReferenceError::BootPcr { found: 10, .. }));
}

#[test]
fn one_launch_has_one_guest_level() {
    let of = |guest_vmpl| {
        let known = SnpMeasurement { measurement: HexArray([1; 48]), guest_vmpl, description: "x".into() };
        ReferenceDocument { snp_measurements: vec![known], ..document() }
    };
    let compile = |levels: &[u8]| {
        let documents: Vec<_> = levels.iter().map(|level| of(*level)).collect();
        ReferenceValues::from_documents(&documents)
    };
    assert_eq!(compile(&[3, 3]).unwrap().measurement(&[1; 48]).unwrap().guest_vmpl, 3);
    assert!(matches!(compile(&[4]), Err(ReferenceError::GuestVmpl { expected: 3, found: 4, .. })));
    for (expected, found) in [(0, 2), (2, 0)] {
        let error = compile(&[expected, found]).unwrap_err();
        assert!(
            matches!(error, ReferenceError::GuestVmplConflict { expected: e, found: f, .. } if (e, f) == (expected, found))
        );
    }
}

#[test]
fn of_two_numbers_of_violations_the_larger_counts() {
    let of = |count| ReferenceDocument { dangerous_allow_ima_violations_up_to: count, ..document() };
    for counts in [[1, 3], [3, 1]] {
        assert_eq!(ReferenceValues::from_documents(&counts.map(of)).unwrap().violations(), 3);
    }
}

#[test]
fn programs_of_the_guest_are_its_files_but_for_shared_libraries() {
    let mut one = document();
    one.files = [
        "/usr/bin/a b",
        "/usr/lib/modules/6.12/x.ko",
        "/lib/libc.so.6",
        "/lib/ld-linux-x86-64.so.2",
        "/lib/libapp.so",
    ]
    .map(|path| files(None, path, 1))
    .into();
    one.files.push(files(Some(ImageDigest(HexArray([1; 32]))), "/bin/app", 1));
    let values = ReferenceValues::from_documents(&[one]).unwrap();
    for (path, own) in [
        ("/usr/bin/a_b", true),
        ("/usr/lib/modules/6.12/x.ko", true),
        ("/lib/libc.so.6", false),
        ("/lib/ld-linux-x86-64.so.2", false),
        ("/lib/libapp.so", false),
        ("/bin/app", false),
    ] {
        assert_eq!(values.is_guest_program(path.as_bytes()), own, "{path}");
    }
}
