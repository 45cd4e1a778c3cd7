"""Frames as Flower's records: what is said as configuration, each frame as an array of bytes."""

import json
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict


def pack(said: dict[str, Any], frames: list[bytes]) -> RecordDict:
    content = RecordDict({"said": ConfigRecord({"json": json.dumps(said)})})
    if frames:
        arrays = {f"{i:06}": Array("uint8", (len(frame),), "fedbench", frame) for i, frame in enumerate(frames)}
        content["frames"] = ArrayRecord(arrays)
    return content


def unpack(content: RecordDict) -> tuple[dict[str, Any], list[bytes]]:
    said: dict[str, Any] = json.loads(str(content.config_records["said"]["json"]))
    frames = content.array_records.get("frames", ArrayRecord())
    return said, [array.data for _, array in sorted(frames.items())]
