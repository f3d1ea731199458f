//! A certificate authority for one run, and what a server of this machine needs of it.

use std::sync::Arc;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority that nobody trusts but who is told to, and the configuration of servers that it vouches for.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Its own certificate, PEM.
    pub pem: String,
    /// For `localhost` and its address: a chain like those of AWS's endpoints, of RSA keys of 2,048 bits and one authority in between; and the
    /// key exchanges that those offer, the post-quantum one among them.
    pub server: Arc<ServerConfig>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// If the library cannot make it.
    pub fn new() -> Result<Authority> {
        let key = || KeyPair::generate_for(&PKCS_RSA_SHA256);
        let authority = |name: &str| -> Result<CertificateParams> {
            let mut parameters = CertificateParams::new(Vec::new())?;
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(DnType::CommonName, name);
            Ok(parameters)
        };
        let (root, root_key) = (authority("Root of a measurement")?, key()?);
        let root_certificate = root.self_signed(&root_key)?;
        let root = Issuer::new(root, root_key);
        let (between, between_key) = (authority("Between")?, key()?);
        let between_certificate = between.signed_by(&between_key, &root)?;
        let between = Issuer::new(between, between_key);
        let own_key = key()?;
        let own = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?
            .signed_by(&own_key, &between)?;
        let chain = vec![own.der().clone(), between_certificate.der().clone()];
        let own_key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own_key.serialize_der()));
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, own_key)?;
        Ok(Authority { pem: root_certificate.pem(), server: Arc::new(server) })
    }
}
