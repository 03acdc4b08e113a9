//! The vTPM's endorsement key, read with three TPM commands so that nothing but the device is needed.
//!
//! Template L-1 of the TCG EK Credential Profile for TPM 2.0 (2.5, section B.3.3): RSA-2048, the default EK.

use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// The kernel's resource manager.
pub const DEVICE: &str = "/dev/tpmrm0";

/// `TPM2_PT_MAX_RESPONSE_SIZE` of every TPM in use.
const MAX_RESPONSE: usize = 4096;
const TPM_ST_NO_SESSIONS: u16 = 0x8001;
const TPM_ST_SESSIONS: u16 = 0x8002;
const TPM_CC_CREATE_PRIMARY: u32 = 0x131;
const TPM_CC_FLUSH_CONTEXT: u32 = 0x165;
const TPM_RH_ENDORSEMENT: u32 = 0x4000_000B;
const TPM_RS_PW: u32 = 0x4000_0009;

/// `PolicyA_SHA256`: TPM2_PolicySecret(TPM_RH_ENDORSEMENT) (section B.6.2).
const POLICY_A: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd,
    0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// `TPMT_PUBLIC` of the endorsement key; `None` where the machine has no TPM.
pub fn read() -> Result<Option<Vec<u8>>> {
    let path = Path::new(DEVICE);
    if !path.exists() {
        return Ok(None);
    }
    let mut tpm = File::options().read(true).write(true).open(path).context("cannot open /dev/tpmrm0")?;
    let mut transmit = |command: &[u8]| -> Result<Vec<u8>> {
        tpm.write_all(command).context("cannot write to the TPM")?;
        let mut response = vec![0; MAX_RESPONSE];
        let length = tpm.read(&mut response).context("cannot read from the TPM")?;
        response.truncate(length);
        Ok(response)
    };
    let response = transmit(&create_primary())?;
    let (handle, public) = created(&response)?;
    transmit(&flush(handle))?;
    Ok(Some(public))
}

fn create_primary() -> Vec<u8> {
    let mut body = TPM_RH_ENDORSEMENT.to_be_bytes().to_vec();
    // Authorisation area: the empty password.
    body.extend(9u32.to_be_bytes());
    body.extend(TPM_RS_PW.to_be_bytes());
    body.extend([0; 5]);
    // inSensitive: empty userAuth, empty data.
    body.extend([0, 4, 0, 0, 0, 0]);
    let template = template();
    body.extend((template.len() as u16).to_be_bytes());
    body.extend(template);
    // outsideInfo, creationPCR: none.
    body.extend([0; 6]);
    command(TPM_ST_SESSIONS, TPM_CC_CREATE_PRIMARY, &body)
}

fn flush(handle: u32) -> Vec<u8> {
    command(TPM_ST_NO_SESSIONS, TPM_CC_FLUSH_CONTEXT, &handle.to_be_bytes())
}

fn command(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let mut out = tag.to_be_bytes().to_vec();
    out.extend((10 + body.len() as u32).to_be_bytes());
    out.extend(code.to_be_bytes());
    out.extend(body);
    out
}

fn template() -> Vec<u8> {
    // type RSA, nameAlg SHA-256; fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt.
    let mut out = vec![0x00, 0x01, 0x00, 0x0B, 0x00, 0x03, 0x00, 0xB2];
    out.extend([0x00, 0x20]);
    out.extend(POLICY_A);
    // AES-128-CFB, no scheme, 2048 bits, default exponent.
    out.extend([0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00, 0x10, 0x08, 0x00, 0, 0, 0, 0]);
    // unique: 256 zero bytes, so that the key is the one an EK certificate would be for.
    out.extend([0x01, 0x00]);
    out.extend([0; 256]);
    out
}

/// Handle and public area in the answer to TPM2_CreatePrimary: header, handle, parameter size, `TPM2B_PUBLIC`.
fn created(response: &[u8]) -> Result<(u32, Vec<u8>)> {
    let word = |at: usize| -> Result<u32> {
        let bytes = response.get(at..at + 4).context("the TPM's answer is cut off")?;
        Ok(u32::from_be_bytes(bytes.try_into()?))
    };
    let code = word(6)?;
    if code != 0 {
        bail!("TPM2_CreatePrimary of the endorsement key failed with code {code:#x}");
    }
    let handle = word(10)?;
    let size = response.get(18..20).context("the TPM's answer is cut off")?;
    let size = usize::from(u16::from_be_bytes(size.try_into()?));
    let public = response.get(20..20 + size).context("the TPM's answer is cut off")?;
    Ok((handle, public.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_state_their_own_length() {
        for command in [create_primary(), flush(0x8000_0000)] {
            let stated = u32::from_be_bytes(command[2..6].try_into().unwrap());
            assert_eq!(stated as usize, command.len());
        }
    }

    #[test]
    fn answers_give_the_public_area_or_say_why_not() {
        let mut good = vec![0x80, 0x02, 0, 0, 0, 23, 0, 0, 0, 0, 0x80, 0, 0, 1, 0, 0, 0, 5, 0, 3, 7, 8, 9];
        assert_eq!(created(&good).unwrap(), (0x8000_0001, vec![7, 8, 9]));
        for cut in 0..good.len() {
            assert!(created(&good[..cut]).is_err(), "{cut}");
        }
        good[9] = 0x22;
        assert!(created(&good).unwrap_err().to_string().contains("0x22"));
    }
}
