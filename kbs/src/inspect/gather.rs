//! Which files belong together.
//!
//! Files that only serve others (certificates, lists, collateral, PCR values, keys) serve all. Of the rest, a quote with its
//! signature and the logs of one machine are one appraisal, an HCL report goes with the quote of its vTPM, a TDX quote with its
//! CCEL. As soon as there are two of a sort nothing says which belongs to which, and each file is appraised by itself.

use super::given::Given;
use super::piece::{Kind, Piece};
use super::recognise::NotRecognised;

/// Lengths of a bare TPM signature: RSA-2048 to RSA-4096, ECDSA P-256 and P-384.
const SIGNATURES: [usize; 5] = [256, 384, 512, 64, 96];

/// Takes aids out of the files into `given` and puts together what belongs together. Where only aids were given, they are what
/// is appraised.
pub fn gather(pieces: Vec<Piece>, given: &mut Given) -> Vec<Piece> {
    let only_aids = pieces.iter().all(|piece| piece.kind.is_aid());
    let (aids, evidence): (Vec<_>, Vec<_>) =
        pieces.into_iter().partition(|piece| piece.kind.is_aid() && !only_aids);
    aids.iter().for_each(|aid| given.add(aid));
    if only_aids {
        return aids_together(evidence, given);
    }
    let signatures = evidence.iter().filter(|piece| piece.kind == Kind::TpmSignature).count();
    let unsigned =
        evidence.iter().flat_map(|piece| &piece.tpm_quotes).filter(|quote| quote.signature.is_none()).count();
    let (loose, mut evidence): (Vec<_>, Vec<_>) = evidence
        .into_iter()
        .partition(|piece| piece.kind == Kind::TpmSignature && signatures == 1 && unsigned == 1);
    if let [signature] = &loose[..] {
        let owner =
            evidence.iter_mut().find(|piece| piece.tpm_quotes.iter().any(|quote| quote.signature.is_none()));
        if let Some(piece) = owner {
            piece.files.extend(signature.files.iter().cloned());
            piece.tpm_quotes.iter_mut().for_each(|quote| {
                quote.signature.get_or_insert_with(|| signature.other.clone());
            });
        }
    }
    together(evidence)
}

/// A file that is nothing by itself but has the length of a signature, beside a quote that lacks one.
pub fn signature_beside(
    pieces: &[Piece],
    failed: Vec<(NotRecognised, Vec<u8>)>,
) -> Result<Option<Piece>, NotRecognised> {
    let lacks = pieces.iter().flat_map(|piece| &piece.tpm_quotes).any(|quote| quote.signature.is_none());
    let mut failed = failed.into_iter();
    let Some((error, bytes)) = failed.next() else { return Ok(None) };
    if failed.next().is_some() || !lacks || !SIGNATURES.contains(&bytes.len()) {
        return Err(error);
    }
    let mut piece = Piece::new(Kind::TpmSignature);
    piece.files = vec![error.name];
    piece.form.push("bare signature".to_owned());
    piece.other = bytes;
    Ok(Some(piece))
}

/// Collateral of one quote, and certificates with their lists, are looked at as one.
fn aids_together(aids: Vec<Piece>, given: &mut Given) -> Vec<Piece> {
    let mut groups: Vec<Piece> = Vec::new();
    for aid in aids {
        let same = |known: &&mut Piece| {
            let x509 = |kind| matches!(kind, Kind::Certificate | Kind::Crl);
            let intel = |kind| matches!(kind, Kind::Collateral | Kind::Crl | Kind::Certificate);
            known.kind == aid.kind && aid.kind != Kind::CcelTable
                || x509(known.kind) && x509(aid.kind)
                || (known.kind == Kind::Collateral || aid.kind == Kind::Collateral)
                    && intel(known.kind)
                    && intel(aid.kind)
        };
        match groups.iter_mut().find(same) {
            Some(known) => {
                let kind = if aid.kind == Kind::Collateral || known.kind == Kind::Crl {
                    aid.kind
                } else {
                    known.kind
                };
                absorb(known, aid);
                known.kind = kind;
            }
            None => groups.push(aid),
        }
    }
    // Each group is looked at with the others' content at hand.
    groups.iter().for_each(|group| given.add(group));
    groups
}

/// One piece where every sort occurs once at most and the sorts go together; else the pieces as they are.
fn together(pieces: Vec<Piece>) -> Vec<Piece> {
    let count = |has: fn(&Piece) -> bool| pieces.iter().filter(|piece| has(piece)).count();
    let single = [
        count(|p| p.snp_report.is_some() || p.hcl.is_some()),
        count(|p| p.intel_quote.is_some()),
        count(|p| !p.tpm_quotes.is_empty()),
        count(|p| p.boot_log.is_some()),
        count(|p| p.ccel.is_some()),
        count(|p| p.ima_log.is_some()),
    ];
    let any = |kind| pieces.iter().any(|piece| piece.kind == kind);
    let has = |index: usize| single.get(index).is_some_and(|count| *count > 0);
    // A bare SNP report says nothing about a TPM, so it stays by itself; Azure's report does.
    let stranger = any(Kind::Bundle) || any(Kind::Tpm12) || any(Kind::SnpReport) || any(Kind::SgxQuote);
    let tdx_beside_tpm = has(1) && has(2) && !pieces.iter().any(|piece| piece.hcl.is_some());
    if pieces.len() < 2 || single.iter().any(|count| *count > 1) || stranger || tdx_beside_tpm {
        return pieces;
    }
    let mut pieces = pieces;
    // The most telling piece names the whole.
    pieces.sort_by_key(|piece| rank(piece.kind));
    let mut pieces = pieces.into_iter();
    let mut first = pieces.next().into_iter().collect::<Vec<_>>();
    if let Some(first) = first.first_mut() {
        pieces.for_each(|piece| absorb(first, piece));
    }
    first
}

fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::AzSnpVtpm | Kind::AzTdxVtpm => 0,
        Kind::HclReport => 1,
        Kind::TdxQuote => 2,
        Kind::TpmQuote => 3,
        Kind::Tcg2Log => 4,
        Kind::Ccel => 5,
        Kind::ImaLog => 6,
        _ => 7,
    }
}

fn absorb(into: &mut Piece, piece: Piece) {
    fn set<T>(to: &mut Option<T>, from: Option<T>) {
        if to.is_none() {
            *to = from;
        }
    }
    into.files.extend(piece.files);
    into.form.extend(piece.form);
    set(&mut into.snp_report, piece.snp_report);
    set(&mut into.certificate_table, piece.certificate_table);
    set(&mut into.intel_quote, piece.intel_quote);
    set(&mut into.hcl, piece.hcl);
    set(&mut into.ak, piece.ak);
    set(&mut into.boot_log, piece.boot_log);
    set(&mut into.ccel, piece.ccel);
    set(&mut into.ima_log, piece.ima_log);
    set(&mut into.runtime_data, piece.runtime_data);
    into.tpm_quotes.extend(piece.tpm_quotes);
    into.certificates.extend(piece.certificates);
    into.crls.extend(piece.crls);
    into.collateral.extend(piece.collateral);
    for (bank, values) in piece.pcrs {
        into.pcrs.entry(bank).or_default().extend(values);
    }
}
