//! etcd, an API server and, where a case needs them, its controllers: on free ports, in a folder of their own, without a node.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::wait::wait_for;

/// What everybody is called, and with which token they sign in.
const USERS: &str = "\
admin-token,admin,admin,system:masters
observer-token,observer,observer
controllers-token,system:kube-controller-manager,controllers
";
/// The manifests that are installed; the observer's own access is among them.
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/kubernetes/tapio.yaml");
/// The role by which the observer reads.
pub(crate) const ROLE: &str = "tapio:tapio:rollouts";

/// Where the binaries of Kubernetes are, or why there are none.
pub(crate) fn binaries() -> Result<PathBuf, String> {
    let lab = std::env::var_os("TAPIO_LAB").unwrap_or_else(|| "/var/tmp/tapio-lab".into());
    let folder = PathBuf::from(lab).join("bin");
    for name in ["kube-apiserver", "kube-controller-manager", "kubectl"] {
        if !folder.join(name).exists() {
            return Err(format!("{name} is not built; type: deploy/lab/cluster build"));
        }
    }
    let etcd = Command::new("etcd").arg("--version").output();
    etcd.map_err(|_| "etcd is not installed; type: apt-get install etcd-server".to_owned())?;
    Ok(folder)
}

/// The configuration of a client that goes through `port`.
pub(crate) fn kubeconfig(user: &str, port: u16) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true}}],
        "users": [{"name": user, "user": {"token": format!("{user}-token")}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user, "namespace": "tapio"}}],
    })
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The control plane.
pub(crate) struct Server {
    binaries: PathBuf,
    folder: tempfile::TempDir,
    etcd_port: u16,
    /// Where the API server listens.
    pub(crate) port: u16,
    apiserver: Option<Ends>,
    controllers: Vec<Ends>,
    _etcd: Ends,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl Server {
    /// Starts them, lets the observer in as the manifests do, and waits until they serve.
    pub(crate) async fn start(binaries: &Path, with_controllers: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("users.csv"), USERS).unwrap();
        let key = Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(path("accounts.key"))
            .stderr(Stdio::null())
            .status();
        assert!(key.unwrap().success());
        let [etcd_port, peer_port] = [(); 2].map(|()| free_port());
        let [etcd_url, peer_url] = [etcd_port, peer_port].map(|port| format!("http://127.0.0.1:{port}"));
        let mut etcd = Command::new("etcd");
        etcd.arg("--data-dir").arg(path("etcd"));
        etcd.args(["--unsafe-no-fsync", "--listen-peer-urls", &peer_url]);
        etcd.args(["--initial-advertise-peer-urls", &peer_url, "--initial-cluster"]);
        etcd.arg(format!("default={peer_url}"));
        etcd.args([
            "--listen-client-urls",
            &etcd_url,
            "--advertise-client-urls",
            &etcd_url,
        ]);
        let etcd = spawn(etcd, &path("etcd.log"));
        let mut server = Self {
            binaries: binaries.to_owned(),
            etcd_port,
            port: free_port(),
            apiserver: None,
            controllers: Vec::new(),
            _etcd: etcd,
            folder,
        };
        for user in ["admin", "controllers"] {
            server.write_kubeconfig(user);
        }
        server.start_apiserver().await;
        if with_controllers {
            let mut controllers = server.command("kube-controller-manager");
            controllers
                .arg("--kubeconfig")
                .arg(server.path("controllers.kubeconfig"));
            controllers.args(["--leader-elect=false", "--use-service-account-credentials"]);
            controllers.args(["--secure-port=0", "--horizontal-pod-autoscaler-sync-period=1s"]);
            controllers
                .arg("--service-account-private-key-file")
                .arg(server.path("accounts.key"));
            let running = spawn(controllers, &server.path("controllers.log"));
            server.controllers.push(running);
        }
        server.let_the_observer_in();
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        command.env("HOME", self.folder.path());
        command
    }

    /// Starts the API server, again where it was stopped, and waits until it serves.
    pub(crate) async fn start_apiserver(&mut self) {
        let mut command = self.command("kube-apiserver");
        command.arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port));
        command.arg(format!("--secure-port={}", self.port));
        command.arg("--cert-dir").arg(self.path("certificates"));
        command.arg("--token-auth-file").arg(self.path("users.csv"));
        command
            .arg("--service-account-key-file")
            .arg(self.path("accounts.key"));
        command
            .arg("--service-account-signing-key-file")
            .arg(self.path("accounts.key"));
        command.args([
            "--bind-address=127.0.0.1",
            "--advertise-address=10.255.255.1",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.97.0.0/16",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--allow-privileged=true",
        ]);
        self.apiserver = Some(spawn(command, &self.path("apiserver.log")));
        wait_for("the API server serves", || {
            self.try_kubectl("kubectl get --raw /readyz").is_ok()
        })
        .await;
        wait_for("it has its first objects", || {
            self.try_kubectl("kubectl get namespace default").is_ok()
        })
        .await;
    }

    /// Kills the API server.
    pub(crate) fn stop_apiserver(&mut self) {
        self.apiserver = None;
    }

    fn write_kubeconfig(&self, user: &str) {
        let config = self.kubeconfig(user).to_string();
        std::fs::write(self.path(&format!("{user}.kubeconfig")), config).unwrap();
    }

    /// The configuration of a client of that user.
    pub(crate) fn kubeconfig(&self, user: &str) -> serde_json::Value {
        kubeconfig(user, self.port)
    }

    /// As the manifests do, for a user instead of a `ServiceAccount`.
    fn let_the_observer_in(&self) {
        let manifests = std::fs::read_to_string(MANIFESTS).unwrap();
        let is_needed = |document: &&str| {
            document.contains("\nkind: Lease\n")
                || document.contains("\nkind: Role\n")
                || document.contains(&format!("kind: ClusterRole\nmetadata:\n  name: {ROLE}\n"))
        };
        let documents: Vec<_> = manifests.split("\n---").filter(is_needed).collect();
        std::fs::write(self.path("access.yaml"), documents.join("\n---")).unwrap();
        self.kubectl("kubectl create namespace tapio");
        let access = self.path("access.yaml");
        self.kubectl(&format!("kubectl -n tapio apply -f {}", access.display()));
        self.kubectl(&format!(
            "kubectl create clusterrolebinding observer --user=observer --clusterrole={ROLE}"
        ));
        self.kubectl("kubectl -n tapio create rolebinding observer --user=observer --role=tapio-kubernetes");
    }

    /// Runs a line of shell in which `kubectl` is the administrator's.
    pub(crate) fn kubectl(&self, line: &str) -> String {
        self.try_kubectl(line)
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn try_kubectl(&self, line: &str) -> Result<String, String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-ec", line])
            .env("PATH", format!("{}:{path}", self.binaries.display()))
            .env("KUBECONFIG", self.path("admin.kubeconfig"))
            .env("HOME", self.folder.path())
            .output()
            .unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

fn spawn(mut command: Command, log: &Path) -> Ends {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let (out, err) = (log.try_clone().unwrap(), log);
    Ends(
        command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap(),
    )
}
