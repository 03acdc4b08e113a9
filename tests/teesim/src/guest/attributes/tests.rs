use super::*;

/// Counts the questions and repeats them as its answer.
struct Echo {
    asked: u32,
    svsm: bool,
}

impl Platform for Echo {
    fn vmpl(&self) -> u32 {
        2
    }
    fn svsm(&self) -> bool {
        self.svsm
    }
    fn answer(&mut self, question: &Question) -> Result<Blobs, Errno> {
        self.asked += 1;
        if question.privlevel == 3 {
            return Err(Errno::EIO);
        }
        Ok(Blobs {
            report: question.inblob.clone(),
            certificates: vec![self.asked as u8],
            manifest: question.service_guid.clone().into_bytes(),
        })
    }
}

fn reports() -> (Reports<Echo>, u64) {
    let mut reports = Reports::new(Echo { asked: 0, svsm: true });
    let entry = reports.make("e").unwrap();
    (reports, entry)
}

#[test]
fn a_report_is_made_when_it_is_read_and_once_per_write() {
    let (mut reports, entry) = reports();
    reports.write(entry, Attribute::Inblob, &[5; 64]).unwrap();
    assert_eq!(reports.platform.asked, 0);
    assert_eq!(reports.read(entry, Attribute::Outblob).unwrap(), [5; 64]);
    assert_eq!(reports.read(entry, Attribute::Auxblob).unwrap(), [1]);
    reports.write(entry, Attribute::Inblob, &[6; 64]).unwrap();
    assert_eq!(reports.read(entry, Attribute::Auxblob).unwrap(), [2]);
    assert_eq!(reports.read(entry, Attribute::Outblob).unwrap(), [6; 64]);
}

#[test]
fn there_is_no_report_without_inblob() {
    let (mut reports, entry) = reports();
    reports.write(entry, Attribute::Privlevel, b"2").unwrap();
    assert_eq!(reports.read(entry, Attribute::Outblob), Err(Errno::EINVAL));
    assert_eq!(reports.platform.asked, 0);
}

#[test]
fn every_write_that_is_taken_moves_the_generation_on_and_no_other() {
    let (mut reports, entry) = reports();
    let vtpm = b"C476F1EB-0123-45a5-9641-b4e7dde5bfe3\n";
    reports.write(entry, Attribute::Inblob, &[0; 1]).unwrap();
    reports.write(entry, Attribute::ServiceProvider, b"svsm").unwrap();
    reports.write(entry, Attribute::ServiceGuid, vtpm).unwrap();
    reports.write(entry, Attribute::ServiceManifestVersion, b"0\n").unwrap();
    assert_eq!(reports.write(entry, Attribute::Inblob, &[0; 65]), Err(Errno::EFBIG));
    assert_eq!(reports.write(entry, Attribute::ServiceGuid, b"c476f1eb"), Err(Errno::EINVAL));
    assert_eq!(reports.write(entry, Attribute::ServiceManifestVersion, b"-1"), Err(Errno::EINVAL));
    assert_eq!(reports.write(entry, Attribute::Generation, b"9"), Err(Errno::EACCES));
    assert_eq!(reports.read(entry, Attribute::Generation).unwrap(), b"4\n");
    assert_eq!(
        reports.read(entry, Attribute::Manifestblob).unwrap(),
        b"c476f1eb-0123-45a5-9641-b4e7dde5bfe3"
    );
}

#[test]
fn levels_below_the_floor_and_above_three_are_refused() {
    let (mut reports, entry) = reports();
    assert_eq!(reports.read(entry, Attribute::PrivlevelFloor).unwrap(), b"2\n");
    for bad in ["0", "1", "4", "", "two", "4294967296"] {
        assert_eq!(reports.write(entry, Attribute::Privlevel, bad.as_bytes()), Err(Errno::EINVAL), "{bad}");
    }
    reports.write(entry, Attribute::Privlevel, b"3\n").unwrap();
}

#[test]
fn a_failed_answer_is_asked_for_again() {
    let (mut reports, entry) = reports();
    reports.write(entry, Attribute::Inblob, &[1; 64]).unwrap();
    reports.write(entry, Attribute::Privlevel, b"3").unwrap();
    assert_eq!(reports.read(entry, Attribute::Outblob), Err(Errno::EIO));
    assert_eq!(reports.read(entry, Attribute::Outblob), Err(Errno::EIO));
    assert_eq!(reports.platform.asked, 2);
}

#[test]
fn entries_come_and_go_and_never_share_a_number() {
    let (mut reports, entry) = reports();
    assert_eq!(reports.make("e"), Err(Errno::EEXIST));
    reports.remove("e").unwrap();
    assert_eq!(reports.remove("e"), Err(Errno::ENOENT));
    assert_eq!(reports.read(entry, Attribute::Generation), Err(Errno::ENOENT));
    assert_ne!(reports.make("e").unwrap(), entry);
    for index in 1..ENTRIES_MAX {
        reports.make(&index.to_string()).unwrap();
    }
    assert_eq!(reports.make("one more"), Err(Errno::ENOSPC));
}

#[test]
fn service_attributes_are_there_only_under_an_svsm() {
    let hidden: Vec<_> =
        ATTRIBUTES.iter().filter(|(a, ..)| !a.visible(false)).map(|(_, name, _)| *name).collect();
    assert_eq!(hidden, ["manifestblob", "service_provider", "service_guid", "service_manifest_version"]);
    assert!(ATTRIBUTES.iter().all(|(a, ..)| a.visible(true)));
}
