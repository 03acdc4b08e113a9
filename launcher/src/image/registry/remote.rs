//! The conversation with one registry. `oci-client` authenticates and streams blobs; manifests are read here, because
//! it would read one of any length into memory.

use super::{Options, RegistryError, credentials, name};
use crate::console::printable;
use futures::StreamExt as _;
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol, SizedStream};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use reqwest::StatusCode;
use sealpod_evidence::workload::ImageDigest;
use std::time::Duration;

/// Until a connection must stand; then the registry counts as unreachable.
const CONNECT: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const READ: Duration = Duration::from_secs(30);
/// The documents understood: images and indexes, of OCI and of Docker.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A registry, authenticated for reading one repository.
pub struct Remote {
    reference: Reference,
    client: Client,
    http: reqwest::Client,
    auth: RegistryAuth,
    token: Option<String>,
    scheme: &'static str,
    who: String,
}

/// What comes of a blob.
pub struct Body {
    stream: SizedStream,
    /// Whether it is the whole blob, not the rest that was asked for.
    pub from_start: bool,
}

/// Why a blob did not come in whole.
pub enum Interrupted {
    /// The connection broke: the rest can be asked for.
    Connection(String),
    /// The registry answered with an error.
    Refused(RegistryError),
    /// Asking again is of no use.
    Fatal(RegistryError),
}

impl Remote {
    /// Connect and authenticate: plain http to this machine or when allowed, https otherwise.
    pub async fn connect(reference: &Reference, options: &Options) -> Result<Self, RegistryError> {
        // Fails when one is installed already, which is the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let auth = credentials::find(options.docker_config.as_deref(), reference)?;
        let registry = reference.resolve_registry().to_owned();
        let plain = options.insecure || name::is_loopback(&registry);
        let (scheme, protocol) =
            if plain { ("http", ClientProtocol::Http) } else { ("https", ClientProtocol::Https) };
        let client = Client::try_from(ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(READ),
            user_agent: "sealpod",
            ..ClientConfig::default()
        });
        let client = client.map_err(|e| RegistryError::Client { message: root_cause(&e) })?;
        // A redirection must not lead out of TLS: a tag's manifest has no digest to be checked against.
        let http = reqwest::Client::builder()
            .https_only(!plain)
            .connect_timeout(CONNECT)
            .read_timeout(READ)
            .user_agent("sealpod")
            .build()
            .map_err(|e| RegistryError::Client { message: root_cause(&e) })?;
        let who = match (&auth, &options.docker_config) {
            (RegistryAuth::Basic(user, _), Some(path)) => format!("user {user:?} of {}", path.display()),
            _ => "anonymous users".to_owned(),
        };
        let mut remote = Self { reference: reference.clone(), client, http, auth, token: None, scheme, who };
        let token = remote.client.auth(reference, &remote.auth, RegistryOperation::Pull).await;
        remote.token = token.map_err(|error| remote.error("a token", error))?;
        Ok(remote)
    }

    /// A manifest or index, whatever it is: the caller checks its digest.
    pub async fn manifest(&self, reference: &Reference, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let (registry, repository) = (reference.resolve_registry(), reference.repository());
        let name = reference.digest().or(reference.tag()).unwrap_or("latest");
        let what = format!("manifest {name} of {repository}");
        let url = format!("{}://{registry}/v2/{repository}/manifests/{name}", self.scheme);
        let mut request = self.http.get(url).header(reqwest::header::ACCEPT, ACCEPT);
        match (&self.token, &self.auth) {
            (Some(token), _) => request = request.bearer_auth(token),
            (None, RegistryAuth::Basic(user, password)) => {
                request = request.basic_auth(user, Some(password));
            }
            (None, _) => {}
        }
        let broken = |error: reqwest::Error| self.unreachable(&error);
        let mut response = request.send().await.map_err(broken)?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(&what, response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(RegistryError::TooLong { what, expected: limit });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Ask for a blob from an offset on.
    pub async fn blob(&self, digest: ImageDigest, offset: u64, what: &str) -> Result<Body, Interrupted> {
        let text = digest.to_string();
        // A text has no URLs of its own: layers come from the registry that was named and from nowhere else.
        let response = if offset == 0 {
            self.client.pull_blob_stream(&self.reference, text.as_str()).await.map(BlobResponse::Full)
        } else {
            self.client.pull_blob_stream_partial(&self.reference, text.as_str(), offset, None).await
        };
        match response {
            Ok(BlobResponse::Full(stream)) => Ok(Body { stream, from_start: true }),
            Ok(BlobResponse::Partial(stream)) => Ok(Body { stream, from_start: false }),
            Err(error) => match self.error(&format!("{what} ({digest})"), error) {
                error @ RegistryError::Unreachable { .. } => Err(Interrupted::Fatal(error)),
                error => Err(Interrupted::Refused(error)),
            },
        }
    }

    fn error(&self, what: &str, error: OciDistributionError) -> RegistryError {
        match error {
            OciDistributionError::RequestError(error) => self.unreachable(&error),
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => self.refusal(what, StatusCode::UNAUTHORIZED),
            OciDistributionError::ServerError { code, .. } => {
                self.refusal(what, StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                match envelope.errors.first().map(|e| &e.code) {
                    Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => {
                        self.refusal(what, StatusCode::UNAUTHORIZED)
                    }
                    Some(
                        OciErrorCode::BlobUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::ManifestUnknown
                        | OciErrorCode::NotFound,
                    ) => self.refusal(what, StatusCode::NOT_FOUND),
                    other => self.answer(what, &format!("{other:?}")),
                }
            }
            other => self.answer(what, &other.to_string()),
        }
    }

    fn refusal(&self, what: &str, status: StatusCode) -> RegistryError {
        let registry = self.reference.registry().to_owned();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Unauthorized {
                registry,
                repository: self.reference.repository().to_owned(),
                who: self.who.clone(),
            },
            StatusCode::NOT_FOUND => RegistryError::Missing { registry, what: what.to_owned() },
            other => self.answer(what, &other.to_string()),
        }
    }

    /// What the registry says is its own text: shortened, and without control characters.
    fn answer(&self, what: &str, text: &str) -> RegistryError {
        RegistryError::Answer {
            registry: self.reference.registry().to_owned(),
            what: what.to_owned(),
            answer: printable(text).replace('\n', " ").chars().take(200).collect(),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> RegistryError {
        let message = printable(&root_cause(error)).replace('\n', " ");
        let hint = if message.contains("certificate") {
            "name the file with its certificate authority in SSL_CERT_FILE"
        } else if message.contains("corrupt message") {
            "if it speaks plain http, --dangerous-insecure-registry allows that"
        } else {
            "there is no file of that name either, so check name and network"
        };
        RegistryError::Unreachable {
            registry: self.reference.registry().to_owned(),
            message,
            hint: hint.to_owned(),
        }
    }
}

impl Body {
    /// The next piece.
    pub async fn next(
        &mut self,
    ) -> Result<Option<impl AsRef<[u8]> + std::ops::Deref<Target = [u8]>>, Interrupted> {
        self.stream.next().await.transpose().map_err(|e| Interrupted::Connection(root_cause(&e)))
    }
}

/// The error at the bottom, which says what happened; those above it only say where.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
