import js from "@eslint/js";
import globals from "globals";
import importX, { createNodeResolver } from "eslint-plugin-import-x";
import { createTypeScriptImportResolver } from "eslint-import-resolver-typescript";
import jsxA11y from "eslint-plugin-jsx-a11y";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";
import oneWayImports from "./eslint-rules/one-way-imports.js";

export default tseslint.config(
  { ignores: ["dist", "coverage", "src/api/schema.gen.ts"] },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { globals: globals.browser, parserOptions: { projectService: true } },
    plugins: {
      "import-x": importX,
      "jsx-a11y": jsxA11y,
      "react-hooks": reactHooks,
      house: { rules: { "one-way-imports": oneWayImports } },
    },
    settings: { "import-x/resolver-next": [createTypeScriptImportResolver(), createNodeResolver()] },
    rules: {
      ...jsxA11y.flatConfigs.recommended.rules,
      ...reactHooks.configs.recommended.rules,
      "house/one-way-imports": "error",
      "import-x/no-cycle": ["error", { ignoreExternal: true, maxDepth: 8 }],
      "no-restricted-imports": [
        "error",
        { patterns: [{ group: ["../../*"], message: "Reach across folders with @/." }] },
      ],
      "max-lines": ["error", { max: 250, skipBlankLines: true, skipComments: true }],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // A thrown redirect or notFound is how the router is told to go elsewhere.
      "@typescript-eslint/only-throw-error": "off",
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
    },
  },
  // Made-up data is a list, not logic.
  { files: ["src/testing/*fixtures.ts"], rules: { "max-lines": "off" } },
  // Stand-ins for what jsdom lacks do nothing, on purpose.
  { files: ["src/testing/**"], rules: { "@typescript-eslint/no-empty-function": "off" } },
  { files: ["**/*.js"], languageOptions: { globals: globals.node } },
);
