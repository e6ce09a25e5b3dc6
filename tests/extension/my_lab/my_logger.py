import json


class Json:
    """Writes every row as a line of JSON to `rows.json`."""

    size = None  # at the checkpoint from which a run is resumed

    def open(self, directory, config, columns):
        self.file = (directory / "rows.json").open("a", encoding="utf-8")

    def write(self, table, row):
        self._cut()
        self.file.write(json.dumps({"table": table, **row}) + "\n")

    def close(self, status, summary):
        self.file.close()

    def info(self):
        return {"rows": "rows.json"}

    def position(self):
        self._cut()
        return {"size": self.file.tell()}

    def resume(self, position):
        self.size = position["size"]

    def _cut(self):
        if self.size is not None:
            self.file.truncate(self.size)
            self.file.seek(self.size)
            self.size = None
