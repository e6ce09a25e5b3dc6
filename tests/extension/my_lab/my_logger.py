import json


class Json:
    """Writes every row as a line of JSON to `rows.json`."""

    def open(self, directory, config, columns):
        self.file = (directory / "rows.json").open("w", encoding="utf-8")

    def write(self, table, row):
        self.file.write(json.dumps({"table": table, **row}) + "\n")

    def close(self, status, summary):
        self.file.close()

    def info(self):
        return {"rows": "rows.json"}
