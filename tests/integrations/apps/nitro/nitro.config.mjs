export default { preset: 'aws-lambda', compatibilityDate: '2026-01-01', sourceMap: false };
