//! What groups are called.

use super::*;

const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

fn nobody(_: &str) -> Option<String> {
    None
}

fn hex() -> String {
    "a1".repeat(32)
}

#[test]
fn every_runtime_and_driver_names_pod_and_container() {
    let underscored = UID.replace('-', "_");
    let paths = [
        format!("/kubepods/burstable/pod{UID}/{}", hex()),
        format!("/kubepods/pod{UID}/{}", hex()),
        format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{underscored}.slice/cri-containerd-{}.scope",
            hex()
        ),
        format!(
            "/kubepods.slice/kubepods-pod{underscored}.slice/crio-{}.scope",
            hex()
        ),
        format!(
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{underscored}.slice/docker-{}.scope/init",
            hex()
        ),
    ];
    for path in paths {
        let entity = of_path(7, &path, nobody);
        assert_eq!(entity.pod.map(|pod| pod.uid).as_deref(), Some(UID), "{path}");
        assert_eq!(
            entity.container.map(|container| container.id),
            Some(hex()),
            "{path}"
        );
        assert_eq!(entity.workload, None, "{path}");
    }
}

#[test]
fn outside_kubernetes_units_and_groups_are_workloads() {
    let name = |path: &str| {
        of_path(7, path, nobody)
            .workload
            .map(|workload| (workload.kind, workload.name))
    };
    let some = |kind: &str, name: &str| Some((kind.to_owned(), name.to_owned()));
    assert_eq!(name("/system.slice/redis.service"), some("Unit", "redis"));
    assert_eq!(
        name("/user.slice/user-0.slice/user@0.service/app.slice/chat.service"),
        some("Unit", "chat")
    );
    assert_eq!(
        name(&format!("/docker/{}/system.slice/redis.service", hex())),
        some("Unit", "redis")
    );
    assert_eq!(name("/shop-1/cache"), some("Cgroup", "cache"));
    assert_eq!(
        name("/user.slice/user-0.slice/user@0.service/shop/cache"),
        some("Cgroup", "cache")
    );
    assert_eq!(
        name("/system.slice/app-backend@1.service"),
        some("Unit", "app-backend@1")
    );
    assert_eq!(
        name("/user.slice/user-0.slice/user@0.service"),
        some("Unit", "user@0")
    );
}

#[test]
fn a_group_that_is_called_anew_with_each_run_is_no_workload() {
    for path in [
        "/".to_owned(),
        "/user.slice".to_owned(),
        "/init.scope".to_owned(),
        "/user.slice/user-1000.slice/session-3.scope".to_owned(),
        "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r8f3.scope".to_owned(),
        format!(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-conmon-{}.scope",
            hex()
        ),
        format!("/docker/{}", hex()),
        format!("/system.slice/docker-{}.scope", hex()),
        format!("/system.slice/docker-{}.scope/init", hex()),
        format!("/build/{UID}/worker"),
    ] {
        assert_eq!(of_path(7, &path, nobody).workload, None, "{path}");
    }
}

#[test]
fn a_container_is_found_below_whatever_runs_it() {
    let user = "/user.slice/user-1000.slice/user@1000.service";
    for path in [
        format!("{user}/user.slice/libpod-{}.scope/container", hex()),
        format!("{user}/user.slice/docker-{}.scope", hex()),
        format!(
            "{user}/user.slice/user-libpod_pod_{}.slice/libpod-{}.scope",
            hex(),
            hex()
        ),
        format!("/machine.slice/libpod-{}.scope/container/payload", hex()),
        format!("/libpod_parent/libpod-{}", hex()),
        format!("/system.slice/docker.service/system.slice:docker:{}", hex()),
        format!("/docker/{}/docker/{}", "b2".repeat(32), hex()),
        format!("/docker/{}/init.scope", hex()),
    ] {
        let entity = of_path(7, &path, |id| (id == hex()).then(|| "web".to_owned()));
        assert_eq!(entity.key(), "Container/host/web", "{path}");
        assert_eq!(of_path(7, &path, nobody).workload, None, "{path}");
    }
}

#[test]
fn machines_have_their_names_in_their_paths() {
    let name = |path: &str| {
        let entity = of_path(7, path, nobody);
        entity.workload.map(|workload| (workload.kind, workload.name))
    };
    for (path, container) in [
        (r"/machine.slice/machine-web\x2d1.scope", "web-1"),
        ("/machine.slice/machine-web.scope/payload/init.scope", "web"),
        ("/machine.slice/systemd-nspawn@web.service/payload", "web"),
        ("/machine.slice/systemd-nspawn@web.service/supervisor", "web"),
        (
            r"/machine.slice/machine-qemu\x2d7\x2dvm\x2d1.scope/libvirt/emulator",
            "vm-1",
        ),
        ("/lxc.payload.mail-2", "mail-2"),
        ("/lxc.monitor.mail-2", "mail-2"),
        (
            "/lxc.payload.mail-2/user.slice/user-0.slice/session-3.scope",
            "mail-2",
        ),
        ("/lxc/mail-2", "mail-2"),
        ("/lxc/101/ns/init.scope", "101"),
    ] {
        let some = Some(("Container".to_owned(), container.to_owned()));
        assert_eq!(name(path), some, "{path}");
    }
    for (path, unit) in [
        (
            "/machine.slice/machine-web.scope/payload/system.slice/nginx.service",
            "web/nginx",
        ),
        ("/lxc.payload.mail/system.slice/nginx.service", "mail/nginx"),
    ] {
        assert_eq!(name(path), Some(("Unit".to_owned(), unit.to_owned())), "{path}");
    }
}

#[test]
fn a_unit_that_is_a_container_and_nothing_else_has_the_name() {
    let path = format!("/system.slice/web.service/libpod-payload-{}", hex());
    assert_eq!(
        of_path(7, &path, |_| Some("systemd-web".into())).key(),
        "Unit/host/web"
    );
}

#[test]
fn what_a_user_has_started_has_its_own_name() {
    let user = "/user.slice/user-1000.slice/user@1000.service/app.slice";
    for (part, unit) in [
        ("app-gnome-firefox-2345.scope", "firefox"),
        ("app-org.kde.konsole-77af.scope", "org.kde.konsole"),
        (r"app-gnome-user\x2ddirs@autostart.service", "user-dirs"),
        ("app-flatpak-org.mozilla.firefox-12.scope", "org.mozilla.firefox"),
        (
            "snap.firefox.firefox-0f8fad5b-d9cb-469f-a165-70867728950e.scope",
            "firefox",
        ),
        (
            "snap.tools.lint-0f8fad5b-d9cb-469f-a165-70867728950e.scope",
            "tools.lint",
        ),
    ] {
        let key = of_path(7, &format!("{user}/{part}"), nobody).key();
        assert_eq!(key, format!("Unit/host/{unit}"));
    }
}

#[test]
fn kubernetes_in_a_container_and_with_the_wrong_driver_has_pods() {
    let underscored = UID.replace('-', "_");
    for path in [
        format!(
            "/docker/{}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{underscored}.slice/cri-containerd-{}.scope",
            "b2".repeat(32),
            hex()
        ),
        format!(
            "/system.slice/containerd.service/kubepods-burstable-pod{underscored}.slice:cri-containerd:{}",
            hex()
        ),
        format!(
            "/user.slice/user-1000.slice/user@1000.service/app.slice/k3s-rootless.service/kubepods/pod{UID}/{}",
            hex()
        ),
    ] {
        let entity = of_path(7, &path, |_| Some("node".into()));
        assert_eq!(entity.pod.map(|pod| pod.uid).as_deref(), Some(UID), "{path}");
        assert_eq!(
            entity.container.map(|container| container.id),
            Some(hex()),
            "{path}"
        );
        assert_eq!(entity.workload, None, "{path}");
    }
    let kubelet = format!("/docker/{}/kubelet.slice/kubelet.service", hex());
    let entity = of_path(7, &kubelet, |_| Some("kind-worker".into()));
    assert_eq!(entity.key(), "Unit/host/kind-worker/kubelet");
}

#[test]
fn what_only_looks_like_a_pod_is_none() {
    assert_eq!(of_path(7, "/podman/libpod-xyz", nobody).pod, None);
    assert_eq!(of_path(7, "/kubepods/burstable", nobody).container, None);
}
