//! A connection to a server.

use std::{io, sync::Arc};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use crate::{ClientError, Sender, Target};

/// What this host trusts.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// The certificates that the system trusts, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    fn of_system() -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(io::Error::other(
                "no trusted certificates on this host: install ca-certificates, or set \
                 SSL_CERT_FILE",
            ));
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// Connects, and begins to speak HTTP.
pub(crate) async fn connect(target: &Target, tls: &mut Option<Tls>) -> Result<Sender, ClientError> {
    let nobody = |source| ClientError::NoServer { at: target.to_string(), source };
    match target {
        Target::Socket(path) => speak(UnixStream::connect(path).await.map_err(nobody)?).await,
        Target::Tcp { https, host, port, .. } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(nobody)?;
            stream.set_nodelay(true).map_err(nobody)?;
            if !https {
                return speak(stream).await;
            }
            let Tls(connector) = match tls {
                Some(tls) => tls.clone(),
                None => tls.insert(Tls::of_system().map_err(nobody)?).clone(),
            };
            let name = ServerName::try_from(host.clone())
                .map_err(|error| nobody(io::Error::other(error)))?;
            speak(connector.connect(name, stream).await.map_err(nobody)?).await
        }
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Sender, ClientError> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Runs while a request is made; ends when the sender is dropped or the server hangs up.
    tokio::spawn(connection);
    Ok(sender)
}
