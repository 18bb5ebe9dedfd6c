//! One story: its services, and what is told of them.

use std::sync::Arc;
use std::time::Duration;

use bus_schema::Incident;
use bus_schema::incident::{Role, State, Step};
use cli::cgroup::{self, Cgroup};
use cli::port::Port;

use crate::comes_true;
use crate::host::{PYTHON, Running, Service};
use crate::pipeline::Pipeline;

/// Within this time a symptom that goes on has become an error, if it ever does.
const BECOMES_AN_ERROR: Duration = Duration::from_secs(4);

/// Services with a name of their own, beside a running pipeline.
pub(crate) struct Scene {
    pipeline: Arc<Pipeline>,
    name: String,
    folder: String,
    root: Cgroup,
    witness: Option<Running>,
}

impl Scene {
    /// A scene of that name, which is printed with what was said.
    pub(crate) async fn new(name: &str) -> Self {
        let pipeline = Pipeline::shared().await;
        let folder = format!("tapio-report-{}-{name}", std::process::id());
        let root = Cgroup::create(&cgroup::root().unwrap(), &folder).unwrap();
        let mut scene = Self {
            pipeline,
            name: name.to_owned(),
            folder,
            root,
            witness: None,
        };
        let script = "import ctypes, sys; sys.stdin.read(1); ctypes.string_at(0)";
        scene.witness = Some(scene.service("witness").run(&[PYTHON, "-c", script]));
        scene
    }

    /// A control group below the scene's.
    pub(crate) fn service(&self, name: &str) -> Service {
        Service {
            group: Cgroup::create(self.root.path(), name).unwrap(),
        }
    }

    /// Writes a file of the host, as the pipeline finds it.
    pub(crate) fn host_file(&self, path: &str, text: &str) {
        let file = self.pipeline.host_root().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// A port that nobody else takes while it lives.
    pub(crate) fn port() -> Port {
        Port::keep().unwrap()
    }

    /// Incidents in which a service of this scene has a step, each with what was merged into it; not that of the witness.
    pub(crate) fn told(&self) -> Vec<Incident> {
        let all = self.pipeline.incidents().into_iter();
        all.filter(|incident| incident.state != State::Merged)
            .filter(|incident| incident.steps.iter().any(|step| self.is_of(step)))
            .collect()
    }

    fn is_of(&self, step: &Step) -> bool {
        let (own, witness) = (format!("/{}/", self.folder), format!("/{}/witness", self.folder));
        let groups = [Some(&step.entity), step.peer.as_ref()].into_iter().flatten();
        let mut paths = groups.filter_map(|entity| Some(&entity.cgroup.as_ref()?.path));
        paths.any(|path| path.starts_with(&own) && *path != witness)
    }

    /// Waits until all that has happened up to now is told: a process that faults now is told as a crash.
    pub(crate) async fn settles(&mut self) {
        tokio::time::sleep(BECOMES_AN_ERROR).await;
        drop(self.witness.take().unwrap().input());
        let witness = format!("/{}/witness", self.folder);
        let is_told = comes_true(async || {
            let incidents = self.pipeline.incidents();
            let mut steps = incidents.iter().flat_map(|incident| &incident.steps);
            steps.any(|step| {
                step.entity
                    .cgroup
                    .as_ref()
                    .is_some_and(|group| group.path == witness)
            })
        })
        .await;
        assert!(is_told, "{}: the end of the witness is not told", self.name);
    }

    /// Nothing is told of these services.
    pub(crate) async fn stays_quiet(mut self) {
        self.settles().await;
        let told = self.told();
        self.report(&told, "nothing");
        assert!(told.is_empty(), "{}", said(&told));
        self.ends().await;
    }

    /// All that is told of these services is one incident, with this in it.
    pub(crate) async fn has_one(self, right: &str, fits: impl Fn(&Incident) -> bool) {
        let is_right = |told: &[Incident]| matches!(told, [incident] if fits(incident));
        self.tells(right, is_right).await;
    }

    /// This is told of these services, among other things.
    pub(crate) async fn has(self, right: &str, fits: impl Fn(&Incident) -> bool) {
        self.tells(right, |told| told.iter().any(&fits)).await;
    }

    async fn tells(mut self, right: &str, is_right: impl Fn(&[Incident]) -> bool) {
        self.settles().await;
        // a later revision may say more
        comes_true(async || is_right(&self.told())).await;
        let told = self.told();
        self.report(&told, right);
        assert!(is_right(&told), "{}", said(&told));
        self.ends().await;
    }

    fn report(&self, told: &[Incident], right: &str) {
        println!("{}\n  right: {right}\n  said:  {}", self.name, said(told));
    }

    async fn ends(self) {
        self.root.remove().await.unwrap();
    }
}

/// Whether a step of an incident says this of a service.
pub(crate) fn tells(incident: &Incident, label: &str, condition: &str, text: &str) -> bool {
    let mut steps = incident.steps.iter();
    steps.any(|step| step.label == label && step.condition == condition && step.text.contains(text))
}

fn said(told: &[Incident]) -> String {
    if told.is_empty() {
        return "nothing".to_owned();
    }
    let each = told.iter().map(|incident| {
        let steps = incident.steps.iter().map(|step| {
            format!(
                "\n           {:?} {} {}: {}",
                step.role, step.label, step.condition, step.text
            )
        });
        incident.narrative.clone() + &steps.collect::<String>()
    });
    each.collect::<Vec<_>>().join("\n         ")
}

/// The root cause.
pub(crate) fn root(incident: &Incident) -> &Step {
    let mut steps = incident.steps.iter();
    steps.find(|step| step.role == Role::RootCause).unwrap()
}
