/**
 * app -> features -> components -> api -> lib, styles. A feature reaches another one only through its `queries`.
 * The layer is read from the path, so a new feature needs no entry here.
 */
const ORDER = ["styles", "lib", "api", "components", "features", "app"];

function place(file) {
  const match = /\/src\/([^/]+)\/([^/]+)/.exec(file) ?? /^@\/([^/]+)\/([^/]+)/.exec(file);
  return match ? { layer: match[1], part: match[2] } : null;
}

export default {
  meta: {
    type: "problem",
    schema: [],
    messages: {
      up: "{{from}} may not import {{to}}.",
      side: "Reach another feature only through its queries file.",
    },
  },
  create(context) {
    const here = place(context.filename);
    return {
      ImportDeclaration(node) {
        const there = place(String(node.source.value));
        if (!here || !there || here.layer === "testing") return;
        const from = ORDER.indexOf(here.layer);
        const to = ORDER.indexOf(there.layer);
        if (from < 0) return;
        if (to < 0 || to > from) {
          context.report({ node, messageId: "up", data: { from: here.layer, to: there.layer } });
        } else if (there.layer === "features" && here.layer === "features" && here.part !== there.part) {
          if (!/^@\/features\/[^/]+\/queries$/.test(node.source.value))
            context.report({ node, messageId: "side" });
        }
      },
    };
  },
};
