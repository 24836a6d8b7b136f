"""The machine that something was measured on, without anything that names it."""

import os
import pathlib
import platform


def read(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def field(text, name):
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def file_system(folder):
    """The type of the file system in which `folder` is."""
    folder = str(folder.resolve())
    best = ("", "unknown")
    for line in read("/proc/self/mounts").splitlines():
        _, mounted_at, kind, *_ = line.split()
        inside = folder == mounted_at or folder.startswith(mounted_at.rstrip("/") + "/")
        if inside and len(mounted_at) >= len(best[0]):
            best = (mounted_at, kind)
    return best[1]


def disk(folder):
    """What the kernel says of the device."""
    number = os.stat(folder).st_dev
    device = pathlib.Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    # A partition has its queue one folder up.
    device = device if (device / "queue").is_dir() else device.parent
    if not (device / "queue").is_dir():
        return "no block device"
    kind = "rotating or virtual" if read(device / "queue/rotational") == "1" else "solid state"
    buses = {"vd": "virtio", "nv": "NVMe", "sd": "SCSI or SATA", "xv": "Xen"}
    bus = buses.get(device.name[:2], "other")
    return f"{bus} ({kind}, by what the kernel says)"


def describe(folder):
    cpu = read("/proc/cpuinfo")
    memory_kib = int(field(read("/proc/meminfo"), "MemTotal").split()[0])
    return {
        "processor": field(cpu, "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kib / (1 << 20), 1),
        "kernel": platform.release(),
        "disk": disk(folder),
        "file_system": file_system(folder),
    }


def load():
    """Processes that wanted a processor, on average of the last minute."""
    return round(os.getloadavg()[0], 2)
