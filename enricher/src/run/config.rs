//! What the enricher can be told.

use clap::Parser;

/// Default port of the health pages.
pub const PORT: u16 = 9480;

// `tapio-enricher`
#[derive(Debug, Parser)]
#[command(
    version,
    about = "Says who is who: containers, pods, workloads, services and both ends of a connection"
)]
#[expect(missing_docs, reason = "each field's help is its documentation")]
pub struct Cli {
    #[command(flatten)]
    pub common: bus_stage::Args,
    #[arg(
        long,
        env = "TAPIO_POD",
        help = "unique name of this member [default: host name and process id]"
    )]
    pub member: Option<String>,
    #[arg(long, env = "TAPIO_KUBERNETES", value_enum, default_value_t = Kubernetes::Auto, help = "whether to ask the Kubernetes API server who is who")]
    pub kubernetes: Kubernetes,
}

/// Whether to ask the Kubernetes API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kubernetes {
    /// In a pod.
    Auto,
    /// Always; the configuration comes from KUBECONFIG or the pod.
    Yes,
    /// Never.
    No,
}

impl Kubernetes {
    /// Whether the API server is to be asked.
    pub fn is_wanted(self) -> bool {
        match self {
            Self::Auto => std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            Self::Yes => true,
            Self::No => false,
        }
    }
}
