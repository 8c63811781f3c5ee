"""The demonstration: a simulated port day through the real REST API, a head trained on it, three calls to copy."""

import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

from app.cli.client import Client
from app.cli.output import console, progress_bar
from app.errors import AppError
from app.simulator import Scan, encode_jpeg, port_day

SCANS, SEED, REQUEST_FILES = 400, 20_261_121, 25
TASK = "empty-container"


def run(address: str, key: str, data_dir: Path) -> None:
    """Fill the store if it is empty, train and promote a head, then show upload, predict and similar."""
    client = Client(address, key)
    try:
        if client.get("/v1/stats")["images"] == 0:
            _port_day(client)
            _train(client)
        _three_calls(client, address, data_dir)
    except (AppError, OSError) as error:
        console.print(f"The demonstration stopped: {error}")


def _port_day(client: Client) -> None:
    """Upload a day's scans with their papers, most of them honest, then label them by their ground truth."""
    started = time.monotonic()
    scans = port_day(SCANS, SEED)
    truth: dict[str, str] = {}
    with progress_bar("simulated port day") as (bar, line):
        bar.update(line, total=SCANS)
        index = 0
        while chunk := list(islice(scans, REQUEST_FILES)):
            files = [(f"scan-{index + k:04}.jpg", encode_jpeg(scan)) for k, scan in enumerate(chunk)]
            metadata = [_papers(index + k, scan) for k, scan in enumerate(chunk)]
            answer = client.upload("/v1/images", files, metadata)
            for image, scan in zip(answer["images"], chunk, strict=True):
                truth[image["id"]] = scan.truth.class_name
            index += len(chunk)
            bar.update(line, completed=index)
        # Imported, not reviewed: a person still has to look at what its papers and the head disagree on.
        labels = [{"id": image_id, "class": class_name} for image_id, class_name in truth.items()]
        client.send("POST", f"/v1/labels?task={TASK}", {"labels": labels})
    _wait(lambda: client.get("/v1/stats")["pending"] == 0)
    console.print(f"A simulated port day: {SCANS} scans ingested and labelled in {time.monotonic() - started:.0f} s.")


def _papers(index: int, scan: Scan) -> dict[str, Any]:
    """What the shipper declares; one in forty loaded containers travels as empty."""
    declared = "empty" if index % 40 == 7 else scan.truth.class_name
    return {"subject": scan.truth.container_number, "source": "simulated-gate-1", "declared": {TASK: declared}}


def _train(client: Client) -> None:
    started = time.monotonic()
    answer = client.send("POST", f"/v1/tasks/{TASK}/heads", {"pooling": "both", "class_weight": "balanced"})
    _succeed(client, answer["job"], "training")
    head = f"/v1/heads/{answer['head']['id']}"
    report = client.get(f"{head}/report")["out_of_fold"]
    console.print(
        f"A head for {TASK} trained on its stored vectors in {time.monotonic() - started:.0f} s: "
        f"cross-validated AUC {report['auc']:.4f}, accuracy {report['accuracy']:.3f}."
    )
    _promote(client, head)


def _promote(client: Client, head: str) -> None:
    """Replay and promote a head that passes its gate; of one that does not, say why."""
    failed = [check for check in client.get(f"{head}/gate")["checks"] if check["passed"] is False]
    if failed:
        names = " and ".join(check["name"] for check in failed)
        console.print(
            f"Its gate refuses it for its {names} on the same scans, and the bundled head stays live; "
            f"`penumbra gate {TASK} VERSION` shows every check."
        )
        return
    _succeed(client, client.send("POST", f"{head}/replay", None), "replay")
    replay = client.get(f"{head}/replay")
    client.send("POST", f"{head}/promote", None)
    console.print(
        f"It passed its gate and is live: {replay['flipped']} of {replay['regions']} decisions differ from those of "
        "the head before it."
    )


def _succeed(client: Client, job: dict[str, Any], what: str) -> None:
    path = f"/v1/jobs/{job['id']}"
    _wait(lambda: client.get(path)["state"] not in ("queued", "running"))
    ended = client.get(path)
    if ended["state"] != "succeeded":
        raise AppError(f"the {what} {ended['state']}: {(ended['error'] or {}).get('message')}")


def _three_calls(client: Client, address: str, data_dir: Path) -> None:
    scan = next(port_day(SCANS + 1, SEED, start=SCANS))
    sample = data_dir / "demo-scan.jpg"
    sample.write_bytes(encode_jpeg(scan))
    console.print(f"\nThree calls to copy ({sample} is a simulated scan, truly {scan.truth.class_name}):\n")
    console.print(f'export KEY="$(cat {data_dir}/admin.key)"\n')
    answer = client.upload("/v1/images", [(sample.name, sample.read_bytes())], None, {"Prefer": "wait=30"})
    image_id = answer["images"][0]["id"]
    auth = '-H "Authorization: Bearer $KEY"'
    _show(f"curl -s {auth} -H 'Prefer: wait=30' -F files=@{sample} {address}/v1/images", answer)
    body = {"image_id": image_id}
    _show(
        f"curl -s {auth} -H 'Content-Type: application/json' -d '{json.dumps(body)}' {address}/v1/predict/{TASK}",
        {"predictions": client.send("POST", f"/v1/predict/{TASK}", body)["predictions"], "image": "..."},
    )
    similar = client.get(f"/v1/images/{image_id}/similar?limit=3")
    for neighbour in similar["neighbours"]:
        image = neighbour["image"]
        neighbour["image"] = {"id": image["id"], "name": image["name"], "declared": image["declared"], "...": "..."}
    _show(f"curl -s {auth} '{address}/v1/images/{image_id}/similar?limit=3'", similar)


def _show(call: str, answer: Any) -> None:
    console.print(f"$ {call}", style="bold")
    console.print(json.dumps(answer, indent=1))
    console.print()


def _wait(done: Any, *, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise AppError(f"nothing happened for {seconds:.0f} s; see the worker's log")
        time.sleep(0.25)
