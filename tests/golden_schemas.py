"""Goal: the API's description says of bodies what the code says: every golden body fits its schema, and altered ones do not.

Usage: golden_schemas.py OPENAPI_JSON GOLDEN_FOLDER
"""

import copy
import json
import pathlib
import sys

from jsonschema import Draft202012Validator

# Golden bodies that are not called after their type.
NAMES = {
    "download": "DownloadItem",
    "error": "ErrorBody",
    "login-start-earlier": "LoginStart",
    "publish-credentials": "Publish",
    "pull-first": "PullRequest",
    "pull-next": "PullRequest",
    "push": "PushRequest",
}


def schema_name(file: str) -> str:
    for prefix in ("download", "error"):
        if file.startswith(prefix):
            file = prefix
    return NAMES.get(file, "".join(part.capitalize() for part in file.split("-")))


def main() -> None:
    document = json.loads(pathlib.Path(sys.argv[1]).read_text())
    checked = strict = 0
    for path in sorted(pathlib.Path(sys.argv[2]).glob("*.json")):
        name = schema_name(path.stem)
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        if name not in document["components"]["schemas"]:
            sys.exit(f"{path.name}: there is no schema {name}")
        validator, body = Draft202012Validator(schema), json.loads(path.read_text())
        for error in validator.iter_errors(body):
            sys.exit(f"{path.name}: {error.message}")
        checked += 1
        for field, value in body.items() if isinstance(body, dict) else ():
            wrong = copy.deepcopy(body)
            wrong[field] = [value, {}]
            if validator.is_valid(wrong):
                sys.exit(f"{path.name}: anything would do for {field}")
        if document["components"]["schemas"][name].get("additionalProperties") is False:
            strict += 1
            if validator.is_valid({**body, "unknown": 1}):
                sys.exit(f"{path.name}: an unknown field would do")
    assert checked > 40 and strict > 15, (checked, strict)
    print(f"{checked} golden bodies fit their schemas; {strict} of them know no other field")


main()
